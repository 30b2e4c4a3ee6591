"""Write container images as OCI layouts, without a registry, a daemon or a base image.

The same description gives the same bytes on every machine and day, so that digests are stable: archives
carry no times or owners but those described, JSON is written with sorted keys, and layers are gzip streams of
stored blocks. Stored, as compression differs from one zlib to the next; gzip, as tools that copy images to a
registry would compress a plain archive, and so change the digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
STORED_BLOCK = 65535


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an image; with `link_to` a symbolic link, with `directory` a directory."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    owner: int = 0
    link_to: str = ""
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """An archive of files: its bytes, or the file that holds them.

    `digest` and `size` are those of the gzip stream, which is what registries and nodes see. `diff_id` is
    what an image says of the archive in it: the digest of that, but in a layer that shall not unpack.
    """

    source: bytes | Path
    digest: str
    size: int
    diff_id: str

    def write(self, path: Path) -> None:
        """Write the gzip stream to a file."""
        with path.open("wb") as file:
            file.writelines(_gzip(_blocks(self.source)))


@dataclass(frozen=True, slots=True)
class Image:
    """One image for one platform. The settings are those of a Dockerfile; what is empty is left out."""

    layers: tuple[Layer, ...]
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    working_directory: str = ""
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    architecture: str = "amd64"

    def configuration(self) -> dict[str, Any]:
        """Return the image's configuration object."""
        settings: dict[str, Any] = {
            "User": self.user,
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": list(self.environment),
            "WorkingDir": self.working_directory,
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.stop_signal,
            "Labels": self.labels,
        }
        return {
            "architecture": self.architecture,
            "os": "linux",
            "config": {key: value for key, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
        }


@dataclass(frozen=True, slots=True)
class _Blob:
    """A JSON object of the layout, and how others refer to it."""

    content: bytes
    descriptor: dict[str, Any]


def digest_of(content: bytes) -> str:
    """Return the digest by which registries and nodes know the content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer_from(archive: bytes | Path) -> Layer:
    """Return a layer of a tar archive; a file must not change any more."""
    plain, stream, size = hashlib.sha256(), hashlib.sha256(), 0
    for block in _blocks(archive):
        plain.update(block)
    for part in _gzip(_blocks(archive)):
        stream.update(part)
        size += len(part)
    return Layer(archive, f"sha256:{stream.hexdigest()}", size, f"sha256:{plain.hexdigest()}")


def layer_of(*entries: Entry) -> Layer:
    """Return a layer with these files, in this order."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as writer:
        for entry in entries:
            writer.addfile(_member(entry), io.BytesIO(entry.content))
    return layer_from(archive.getvalue())


def layer_of_size(size: int, name: str = "padding") -> Layer:
    """Return a layer with one file of `size` bytes, which no compression makes smaller and `name` decides."""
    return layer_of(Entry(name, hashlib.shake_256(name.encode()).digest(size)))


def broken_layer(name: str = "broken") -> Layer:
    """Return a layer that arrives well but cannot be unpacked: what its image says of it is not true."""
    return replace(layer_of(Entry(name, name.encode())), diff_id=digest_of(b"not what the layer holds"))


def image_digest(*images: Image) -> str:
    """Return the digest of what `write_layout` would write."""
    return str(_describe(images)[-1].descriptor["digest"])


def write_layout(directory: Path, *images: Image, tag: str = "latest") -> str:
    """Write the images as an OCI layout and return its digest.

    Several images, for several architectures, become one index: its digest is returned then.
    """
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for layer in {layer.digest: layer for image in images for layer in image.layers}.values():
        layer.write(blobs / _hexadecimal(layer.digest))
    described = _describe(images)
    for blob in described:
        (blobs / _hexadecimal(blob.descriptor["digest"])).write_bytes(blob.content)
    top = {**described[-1].descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    # Written last: a directory with an index is whole.
    (directory / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [top]}))
    return str(top["digest"])


def _describe(images: tuple[Image, ...]) -> list[_Blob]:
    """Return every object of the layout; the last one is the top."""
    blobs: list[_Blob] = []
    manifests = []
    for image in images:
        configuration = _blob(CONFIG_TYPE, image.configuration())
        manifest = _blob(MANIFEST_TYPE, _manifest(image, configuration))
        blobs += [configuration, manifest]
        platform = {"os": "linux", "architecture": image.architecture}
        manifests.append({**manifest.descriptor, "platform": platform})
    if len(manifests) > 1:
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        blobs.append(_blob(INDEX_TYPE, index))
    return blobs


def _manifest(image: Image, configuration: _Blob) -> dict[str, Any]:
    layers = [{"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size} for layer in image.layers]
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": configuration.descriptor,
        "layers": layers,
    }


def _blob(media_type: str, value: dict[str, Any]) -> _Blob:
    content = _json(value)
    return _Blob(content, {"mediaType": media_type, "digest": digest_of(content), "size": len(content)})


def _blocks(source: bytes | Path) -> Iterator[bytes]:
    """Yield the bytes in pieces, each as long as a stored block can be."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while block := file.read(STORED_BLOCK):
            yield block


def _gzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip stream (RFC 1952) of stored blocks (RFC 1951, 3.2.4), without a time in its header."""
    checksum = size = 0
    yield b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
    for block in blocks:
        checksum = zlib.crc32(block, checksum)
        size += len(block)
        yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF) + block
    last_and_empty = struct.pack("<BHH", 1, 0, 0xFFFF)
    yield last_and_empty + struct.pack("<II", checksum, size % 2**32)


def _hexadecimal(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.mode = entry.mode
    member.uid = member.gid = entry.owner
    if entry.directory:
        member.type = tarfile.DIRTYPE
    elif entry.link_to:
        member.type, member.linkname = tarfile.SYMTYPE, entry.link_to
    else:
        member.size = len(entry.content)
    return member


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
