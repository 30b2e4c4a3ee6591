"""The registry: one reference, the same from nodes, pods and this machine; and what was asked of it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster.layout import Addresses, ClusterError, Layout
from localcluster.process import Processes

NAME = "registry"
PRIVATE = "private-registry"
PRIVATE_USER, PRIVATE_PASSWORD = "reader", "open-sesame"
_REQUEST = re.compile(
    r'^(?P<client>\S+) - - \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) '
    r"/v2/(?P<name>\S+?)/(?P<kind>manifests|blobs)/(?!uploads/)(?P<what>[^ ?]+)"
    r'[^"]*" (?P<status>\d+) (?P<bytes>\d+)(?: "[^"]*" "containerd on (?P<node>[^"]+)")?'
)


@dataclass(frozen=True)
class Request:
    """One request for a manifest or a blob. `client` is the node that it came from, or else the address."""

    time: str
    client: str
    method: str
    kind: str
    name: str
    reference: str
    status: int
    bytes: int


class Registry:
    """The registry of one cluster."""

    def __init__(self, layout: Layout, addresses: Addresses, processes: Processes) -> None:
        self._layout = layout
        self._addresses = addresses
        self._processes = processes

    def ensure(self) -> bool:
        """Start it unless it runs. Return whether it was started."""
        self._write_passwords()
        public = self._serve(NAME, self._addresses.registry)
        private = self._serve(PRIVATE, self._addresses.private_registry, **self._private())
        return public or private

    def stop(self) -> None:
        """End it, as an outage would: connections are refused."""
        self._processes.stop(NAME)
        self._processes.stop(PRIVATE)

    def requests(self) -> list[Request]:
        """Return which manifests and blobs were asked for since the cluster was made."""
        log = self._processes.log(NAME)
        return list(read_requests(log.read_text("utf-8").splitlines())) if log.exists() else []

    def push(self, name: str, source: Path) -> str:
        """Copy an OCI layout folder, or an OCI or Docker archive, to the registry; return the reference."""
        if not source.exists():
            raise ClusterError(f"{source}: there is no such folder or archive")
        reference = f"{self._addresses.registry}/{name}"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
        # What is in OCI form arrives as it is, byte by byte: its digest is known before.
        forms = (
            {"oci": ["--preserve-digests"]} if source.is_dir() else {"oci-archive": [], "docker-archive": []}
        )
        for transport, options in forms.items():
            whole = [*command, *options, f"{transport}:{source}", f"docker://{reference}"]
            ended = subprocess.run(whole, capture_output=True, text=True, check=False)
            if not ended.returncode:
                return reference
        raise ClusterError(f"pushing {source} as {name} failed: {ended.stderr.strip()}")

    def _serve(self, name: str, address: str, **more: object) -> bool:
        config = self._layout.state_folder / f"{name}.json"
        config.write_text(json.dumps({**self._configuration(address), **more}, indent=2), "utf-8")
        started = self._processes.ensure(name, ["docker-registry", "serve", str(config)], files=[config])
        if started:
            self._processes.wait(name, lambda: self._answers(address), f"the {name} did not answer")
        return started

    def _answers(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    def _write_passwords(self) -> None:
        """Write the file of the only user once: it has a salt, and a change restarts the registry."""
        if not self._passwords.exists():
            command = ["htpasswd", "-Bbc", str(self._passwords), PRIVATE_USER, PRIVATE_PASSWORD]
            subprocess.run(command, check=True, capture_output=True)

    @property
    def _passwords(self) -> Path:
        return self._layout.state_folder / "registry.htpasswd"

    def _private(self) -> dict[str, object]:
        """Return what makes a door private: the same images, for who knows the password."""
        return {"auth": {"htpasswd": {"realm": "images of ours", "path": str(self._passwords)}}}

    def _configuration(self, address: str) -> dict[str, object]:
        storage = {"rootdirectory": str(self._layout.state_folder / "registry")}
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {"filesystem": storage, "delete": {"enabled": True}},
            "http": {"addr": address},
        }


def user_agent(node: str) -> str:
    """Return the user agent of a node's containerd."""
    return f"containerd on {node}"


def read_requests(lines: Iterable[str]) -> Iterator[Request]:
    """Read the registry's access log (Apache's combined form).

    Passed over are lines of other kinds, and the steps of an upload: a push shows as the PUT of its manifest.
    """
    for line in lines:
        if found := _REQUEST.match(line):
            yield Request(
                time=found["time"],
                client=found["node"] or found["client"],
                method=found["method"],
                kind=found["kind"].removesuffix("s"),
                name=found["name"],
                reference=found["what"],
                status=int(found["status"]),
                bytes=int(found["bytes"]),
            )
