"""Images written as OCI layouts by hack/ociimage.py."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from ociimage import (
    Entry,
    Image,
    broken_layer,
    image_digest,
    layer_from,
    layer_of,
    layer_of_size,
    write_layout,
)

HELLO = Entry("hello.txt", b"hello\n")
FULL = Image(
    (layer_of(HELLO),),
    user="app",
    entrypoint=("/app",),
    command=("serve",),
    environment=("A=1",),
    working_directory="/work",
    volumes=("/data",),
    stop_signal="SIGQUIT",
    labels={"key": "value"},
)


def read_json(layout: Path, digest: str) -> dict:
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())


def manifest_of(layout: Path) -> dict:
    index = json.loads((layout / "index.json").read_text())
    return read_json(layout, index["manifests"][0]["digest"])


def unpack(layout: Path, descriptor: dict) -> bytes:
    return gzip.decompress((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def test_the_same_description_gives_the_same_digest_on_every_machine():
    digest = "sha256:32003afb8651b1930fbed680501167d057b9647aa7de943b4a1ef0b7b780869f"

    assert image_digest(FULL) == digest


def test_the_digest_is_known_before_anything_is_written(tmp_path):
    assert write_layout(tmp_path, FULL) == image_digest(FULL)


def test_writing_twice_gives_the_same_files(tmp_path):
    for name in ("first", "second"):
        write_layout(tmp_path / name, FULL)

    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    )
    assert first == second


def test_every_blob_is_named_by_its_digest_and_every_descriptor_tells_its_size(tmp_path):
    write_layout(tmp_path, FULL)

    manifest = manifest_of(tmp_path)
    for path in (tmp_path / "blobs/sha256").iterdir():
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()
    for descriptor in (manifest["config"], *manifest["layers"]):
        blob = tmp_path / "blobs" / descriptor["digest"].replace(":", "/")
        assert blob.stat().st_size == descriptor["size"]


def test_the_layout_carries_its_version_and_tag(tmp_path):
    write_layout(tmp_path, FULL, tag="7")

    index = json.loads((tmp_path / "index.json").read_text())
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "7"}


def test_the_configuration_says_what_was_described(tmp_path):
    write_layout(tmp_path, FULL)

    configuration = read_json(tmp_path, manifest_of(tmp_path)["config"]["digest"])
    assert configuration["config"] == {
        "User": "app",
        "Entrypoint": ["/app"],
        "Cmd": ["serve"],
        "Env": ["A=1"],
        "WorkingDir": "/work",
        "Volumes": {"/data": {}},
        "StopSignal": "SIGQUIT",
        "Labels": {"key": "value"},
    }
    assert (configuration["os"], configuration["architecture"]) == ("linux", "amd64")


def test_what_is_not_described_is_left_out(tmp_path):
    write_layout(tmp_path, Image((layer_of(HELLO),)))

    assert read_json(tmp_path, manifest_of(tmp_path)["config"]["digest"])["config"] == {}


def test_a_layer_holds_the_files_as_described(tmp_path):
    layer = layer_of(
        Entry("bin", mode=0o755, directory=True),
        Entry("bin/tool", b"#!/bin/sh\n", mode=0o755, owner=7),
        Entry("bin/alias", link_to="tool"),
    )
    write_layout(tmp_path, Image((layer,)))

    archive = tarfile.open(fileobj=io.BytesIO(unpack(tmp_path, manifest_of(tmp_path)["layers"][0])))  # noqa: SIM115
    directory, tool, alias = archive.getmembers()
    assert (directory.isdir(), directory.mode) == (True, 0o755)
    assert (tool.name, tool.mode, tool.uid, tool.gid, tool.mtime) == ("bin/tool", 0o755, 7, 7, 0)
    assert archive.extractfile(tool).read() == b"#!/bin/sh\n"
    assert (alias.issym(), alias.linkname) == (True, "tool")


def test_the_configuration_names_the_unpacked_layers_in_order(tmp_path):
    write_layout(tmp_path, Image((layer_of(HELLO), layer_of(Entry("b", b"b")))))

    manifest = manifest_of(tmp_path)
    unpacked = [hashlib.sha256(unpack(tmp_path, layer)).hexdigest() for layer in manifest["layers"]]
    configuration = read_json(tmp_path, manifest["config"]["digest"])
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in unpacked]


@pytest.mark.parametrize("size", [0, 1, 65534, 65535, 65536, 200_000])
def test_a_layer_is_a_gzip_stream_of_the_archive_from_memory_and_from_a_file(tmp_path, size):
    content = hashlib.shake_256(b"layer").digest(size)
    (tmp_path / "archive").write_bytes(content)
    from_memory, from_file = layer_from(content), layer_from(tmp_path / "archive")
    from_file.write(tmp_path / "stream")

    assert gzip.decompress((tmp_path / "stream").read_bytes()) == content
    assert (tmp_path / "stream").stat().st_size == from_file.size == from_memory.size
    assert from_file.digest == from_memory.digest


def test_a_layer_of_a_size_takes_that_much_and_differs_by_name():
    first, second = layer_of_size(1_000_000, "first"), layer_of_size(1_000_000, "second")

    assert 1_000_000 < first.size < 1_020_000
    assert len(gzip.compress(first.source)) > 1_000_000
    assert first.digest != second.digest


def test_a_broken_layer_arrives_whole_but_is_not_what_the_image_says(tmp_path):
    write_layout(tmp_path, Image((broken_layer(),)))

    manifest = manifest_of(tmp_path)
    unpacked = hashlib.sha256(unpack(tmp_path, manifest["layers"][0])).hexdigest()
    assert read_json(tmp_path, manifest["config"]["digest"])["rootfs"]["diff_ids"] != [f"sha256:{unpacked}"]


def test_images_of_several_architectures_become_one_index(tmp_path):
    images = [Image((layer_of(HELLO),), architecture=name) for name in ("amd64", "s390x")]

    digest = write_layout(tmp_path, *images)

    top = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert [(entry["digest"], entry["mediaType"]) for entry in top] == [
        (digest, "application/vnd.oci.image.index.v1+json")
    ]
    found = {entry["platform"]["architecture"]: entry for entry in read_json(tmp_path, digest)["manifests"]}
    for name, entry in found.items():
        manifest = read_json(tmp_path, entry["digest"])
        assert read_json(tmp_path, manifest["config"]["digest"])["architecture"] == name
    assert list(found) == ["amd64", "s390x"]
