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
        config = self._layout.state_folder / "registry.json"
        config.write_text(json.dumps(self._configuration(), indent=2), "utf-8")
        started = self._processes.ensure(NAME, ["docker-registry", "serve", str(config)], files=[config])
        if started:
            self._processes.wait(NAME, self._answers, "the registry did not answer")
        return started

    def stop(self) -> None:
        """End it, as an outage would: connections are refused."""
        self._processes.stop(NAME)

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

    def _answers(self) -> bool:
        host, _, port = self._addresses.registry.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    def _configuration(self) -> dict[str, object]:
        storage = {"rootdirectory": str(self._layout.state_folder / "registry")}
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {"filesystem": storage, "delete": {"enabled": True}},
            "http": {"addr": self._addresses.registry},
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
