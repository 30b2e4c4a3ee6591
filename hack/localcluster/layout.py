"""Where a cluster of this checkout keeps its things, and which addresses it uses.

Everything is derived from the checkout's path, so that two checkouts do not collide and what a killed cluster
left behind can be found again, even when its state folder is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SECOND_OCTETS = range(64, 192)
"""The cluster's network is 10.N.0.0/16 with N of these."""

MOST_NODES = 200
RESERVED = "kip.dev/test"
"""The label, and the key of the taint, of a node that is reserved for something; its value says for what."""


class ClusterError(Exception):
    """What went wrong, for people; the command line prints it and exits with 1."""


@dataclass
class Node:
    """One real node.

    `number` gives its addresses, `disk_mib` the size of a disk of its own (0: none), `max_pods` how many pods
    fit (0: as many as Kubernetes allows). A node that is `reserved` for something is tainted and labelled so.
    """

    name: str
    number: int
    disk_mib: int = 0
    stopped: bool = False
    reserved: str = ""
    max_pods: int = 0


@dataclass
class State:
    """What was asked for, as kept in .cluster/state.json."""

    octet: int
    nodes: list[Node] = field(default_factory=list)
    fake_nodes: int = 0
    registry_stopped: bool = False
    removed: list[str] = field(default_factory=list)
    """Nodes that are gone from the machine, but that the API server has not been told of."""


class Layout:
    """Paths, names and addresses of the cluster of one checkout."""

    def __init__(self, top: Path = TOP) -> None:
        self.top = top
        self.id = hashlib.sha256(str(top).encode()).hexdigest()[:6]
        self.state_folder = top / ".cluster"
        # Unix sockets have paths of at most 107 bytes, and a checkout may lie deep.
        self.run_folder = Path("/run") / f"kip-{self.id}"
        self.tag = f"kip-{self.id}"

    @property
    def state_file(self) -> Path:
        """Return the file that records what was asked for."""
        return self.state_folder / "state.json"

    @property
    def logs(self) -> Path:
        """Return the folder of the programs' logs."""
        return self.state_folder / "logs"

    @property
    def pki(self) -> Path:
        """Return the folder of keys, certificates and kubeconfigs."""
        return self.state_folder / "pki"

    @property
    def admin_kubeconfig(self) -> Path:
        """Return the kubeconfig of the administrator."""
        return self.pki / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Return the API server's audit log, a JSON object a line."""
        return self.logs / "audit.jsonl"

    @cached_property
    def cgroups(self) -> list[Path]:
        """Return the folder of this cluster in each cgroup hierarchy."""
        root = Path("/sys/fs/cgroup")
        if (root / "cgroup.controllers").exists():
            return [root / self.tag]
        # cpu may be a symbolic link to cpu,cpuacct.
        hierarchies = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink()]
        return [path / self.tag for path in hierarchies]

    def bridge(self, number: int) -> str:
        """Return the name of the bridge of a node; 0 is the control plane's. At most 15 characters."""
        return f"{self.tag}-{number}"

    def load(self) -> State | None:
        """Return the recorded state, None when there is no cluster."""
        if not self.state_file.exists():
            return None
        found = json.loads(self.state_file.read_text("utf-8"))
        return State(**{**found, "nodes": [Node(**node) for node in found["nodes"]]})

    def save(self, state: State) -> None:
        """Record the state, whole or not at all."""
        self.state_folder.mkdir(exist_ok=True)
        draft = self.state_file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state), indent=2) + "\n", "utf-8")
        draft.replace(self.state_file)


@dataclass(frozen=True)
class Addresses:
    """The addresses of a cluster: all on its own bridges, or on a loopback address of its own."""

    octet: int

    @property
    def control(self) -> str:
        """Return the address of the API server and the registry."""
        return f"10.{self.octet}.0.1"

    @property
    def loopback(self) -> str:
        """Return the address of what only this machine may reach: etcd and the controllers."""
        return f"127.{self.octet}.0.1"

    @property
    def api_server(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.control}:6443"

    @property
    def service_network(self) -> str:
        """Return the network of Service addresses."""
        return f"10.{self.octet}.255.0/24"

    @property
    def api_service(self) -> str:
        """Return the Service address of the API server."""
        return f"10.{self.octet}.255.1"

    @property
    def registry(self) -> str:
        """Return the registry's host and port, the same for nodes, pods and this machine."""
        return f"{self.control}:5000"

    @property
    def private_registry(self) -> str:
        """Return host and port of the registry's other door, which asks for a password."""
        return f"{self.control}:5001"

    def gateway(self, number: int) -> str:
        """Return the address of a node, which is that of its bridge."""
        return f"10.{self.octet}.{number}.1"

    def pods(self, number: int) -> str:
        """Return the network of the pods of a node."""
        return f"10.{self.octet}.{number}.0/24"


def free_octet(cluster_id: str) -> int:
    """Return the second octet of a 10.N.0.0/16 that nothing on this machine uses; the same one if it can."""
    routes = subprocess.run(
        ["ip", "-json", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    )
    taken = [
        IPv4Network(route["dst"], strict=False)
        for route in json.loads(routes.stdout)
        if route["dst"][0].isdigit() and ":" not in route["dst"]
    ]
    return choose_octet(int(cluster_id, 16), taken)


def choose_octet(seed: int, taken: list[IPv4Network]) -> int:
    """Return the first octet from a place that `seed` gives whose network overlaps none of `taken`."""
    for offset in range(len(SECOND_OCTETS)):
        octet = SECOND_OCTETS[(seed + offset) % len(SECOND_OCTETS)]
        if not any(IPv4Network(f"10.{octet}.0.0/16").overlaps(network) for network in taken):
            return octet
    raise ClusterError(
        "no free network 10.64.0.0/16 to 10.191.0.0/16 on this machine: is another cluster left over?"
    )


def cache_folder() -> Path:
    """Return the folder outside the checkout for what the next checkout can use again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("KIP_CACHE_DIR") or f"{base}/kip")
