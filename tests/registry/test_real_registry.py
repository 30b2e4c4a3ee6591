"""Against Debian's docker-registry, which hack/cluster installs: what is pushed is what is told."""

import hashlib
import json
import re
import shutil
import subprocess
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from kip.errors import RegistryRefused, RegistryUnavailable
from kip.registry.digests import Registries

PROGRAM = shutil.which("docker-registry")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


class Registry:
    """A running registry. `host` is its host and port."""

    def __init__(self, host: str, process: subprocess.Popen) -> None:
        self.host = host
        self.process = process
        self._open = build_opener(ProxyHandler({})).open

    def push(self, name: str, tag: str, architecture: str = "amd64") -> str:
        """Push an image without layers; return its digest."""
        config = json.dumps(
            {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers"}}
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": self._upload(name, config), "size": len(config)},
            "layers": [],
        }
        return self._put(name, tag, MANIFEST, json.dumps(manifest).encode())

    def push_index(self, name: str, tag: str, *digests: str) -> str:
        """Push an index of images that are there; return its digest."""
        entries = [{"mediaType": MANIFEST, "digest": digest, "size": 1} for digest in digests]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return self._put(name, tag, INDEX, json.dumps(index).encode())

    def _upload(self, name: str, blob: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        with self._open(Request(f"http://{self.host}/v2/{name}/blobs/uploads/", b"", method="POST")) as begun:
            place = begun.headers["Location"]
        place += f"{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
        octets = {"Content-Type": "application/octet-stream"}
        request = Request(place, blob, octets, method="PUT")  # noqa: S310 - where the registry itself wants it
        self._open(request).close()
        return digest

    def _put(self, name: str, tag: str, media_type: str, body: bytes) -> str:
        url = f"http://{self.host}/v2/{name}/manifests/{tag}"
        self._open(Request(url, body, {"Content-Type": media_type}, method="PUT")).close()
        return f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.fixture
def registry(tmp_path):
    """A registry of this test, on a port that was free."""
    if not PROGRAM:
        pytest.fail("docker-registry is not installed: `make packages` does that", pytrace=False)
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "images")}},
        "http": {"addr": "127.0.0.1:0", "secret": "made up"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [PROGRAM, "serve", str(tmp_path / "config.json")]
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        listening = (re.search(r"listening on (127\.0\.0\.1:\d+)", line) for line in process.stderr)
        host = next(found[1] for found in listening if found)
        yield Registry(host, process)
        process.kill()


def test_a_tag_that_moves_points_to_another_digest(registry):
    asking, image = Registries([registry.host]), f"{registry.host}/group/app:next"
    first = registry.push("group/app", "next")
    assert asking.digest(image, []) == first
    second = registry.push("group/app", "next", "arm64")
    assert asking.digest(image, []) == second != first


def test_the_digest_of_an_index_is_that_of_the_index_not_of_one_of_its_images(registry):
    images = [registry.push("app", "amd64"), registry.push("app", "arm64", "arm64")]
    index = registry.push_index("app", "1", *images)
    assert Registries([registry.host]).digest(f"{registry.host}/app:1", []) == index


def test_what_is_there_and_what_is_not_is_told_together(registry):
    digest = registry.push("app", "1")
    there, not_there = f"{registry.host}/app:1", f"{registry.host}/app:2"
    found = Registries([registry.host]).ask_all([there, not_there], [])
    assert found[there] == digest
    assert isinstance(found[not_there], RegistryRefused)
    assert "404" in str(found[not_there])


def test_a_registry_that_ended_is_away(registry):
    registry.push("app", "1")
    registry.process.kill()
    registry.process.wait()
    with pytest.raises(RegistryUnavailable):
        Registries([registry.host]).digest(f"{registry.host}/app:1", [])
