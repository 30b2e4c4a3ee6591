"""The cluster as a whole: up, down, and what is done to its parts."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from localcluster import cgroups, leftovers, mounts, programs
from localcluster.control_plane import ControlPlane, is_ready
from localcluster.fake_nodes import TYPE as FAKE
from localcluster.fake_nodes import FakeNodes
from localcluster.layout import MOST_NODES, Addresses, ClusterError, Layout, Node, State, free_octet
from localcluster.network import bridges, delete_bridge, delete_service_rules
from localcluster.node import RealNode
from localcluster.process import Processes, end, mentioning
from localcluster.registry import PRIVATE, Registry
from localcluster.report import say

DEFAULT_NODES = 2
READY_WITHIN_SECONDS = 90


class Cluster:
    """The cluster of this checkout. Every method leaves the recorded state true."""

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout()
        self.processes = Processes(self.layout)
        self.programs = programs.locate()

    # Whole cluster

    def up(self, nodes: int | None, fake_nodes: int | None) -> None:
        """Bring up what is not there, and change what differs from what is asked for; None keeps what is."""
        started = time.monotonic()
        programs.install_packages()
        self.programs = programs.build()
        state = self.layout.load() or self._fresh(nodes if nodes is not None else DEFAULT_NODES)
        changed = [self._resize(state, nodes), self.control_plane(state).ensure()]
        self._forget_removed(state)
        if not state.registry_stopped:
            changed.append(self.registry(state).ensure())
        since = time.time()
        begun = {node.name for node in state.nodes if not node.stopped and self.node(state, node).ensure()}
        changed.append(bool(begun))
        if any(changed):
            say("waiting for the nodes")
            self._wait_for_nodes(state, begun, since)
            self._wait_for_account(state)
        wanted = state.fake_nodes if fake_nodes is None else fake_nodes
        changed.append(self.fake_nodes(state).ensure(wanted, state.fake_nodes))
        state.fake_nodes = wanted
        self.layout.save(state)
        verb = "is up" if any(changed) else "was up already"
        seconds = time.monotonic() - started
        say(f"cluster {self.layout.id} {verb}: {len(state.nodes)} nodes, {wanted} fake ones, {seconds:.1f} s")

    def down(self) -> None:
        """Leave nothing: processes, mounts, network devices, rules, control groups, state."""
        state = self.layout.load()
        if state:
            for node in state.nodes:
                self.node(state, node).remove()
        self._sweep()
        shutil.rmtree(self.layout.state_folder, ignore_errors=True)
        say(f"cluster {self.layout.id} is gone")

    def status(self) -> dict[str, Any]:
        """Return what runs, as plain values."""
        state = self.layout.load()
        if not state:
            return {"up": False}
        addresses = Addresses(state.octet)
        names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "registry", PRIVATE]
        names += ["kwok"] if state.fake_nodes else []
        return {
            "up": True,
            "api": addresses.api_server,
            "registry": addresses.registry,
            "processes": {name: self.processes.pid(name) for name in names},
            "nodes": [
                {
                    "name": node.name,
                    "alive": self.node(state, node).alive,
                    "disk_mib": node.disk_mib,
                    "reserved": node.reserved,
                }
                for node in state.nodes
            ],
            "fake_nodes": state.fake_nodes,
            "logs": str(self.layout.logs),
        }

    def environment(self) -> dict[str, str]:
        """Return the variables that a shell needs to use the cluster."""
        state = self.state()
        path = os.environ.get("PATH", "")
        missing = [folder for folder in self.programs.folders if folder not in path.split(":")]
        return {
            "KUBECONFIG": str(self.layout.admin_kubeconfig),
            "REGISTRY": Addresses(state.octet).registry,
            "PRIVATE_REGISTRY": Addresses(state.octet).private_registry,
            "PATH": ":".join([*missing, path]),
        }

    # Nodes

    def add_node(self, name: str, disk_mib: int, *, max_pods: int = 0, reserved: str = "") -> None:
        """Add a node and wait until it is Ready."""
        state = self.state()
        if any(node.name == name for node in state.nodes):
            raise ClusterError(f"there is a node {name} already; `hack/cluster node start {name}` starts it")
        node = Node(name, self._free_number(state), disk_mib=disk_mib, max_pods=max_pods, reserved=reserved)
        state.nodes.append(node)
        self.layout.save(state)
        self._begin(state, node)

    def remove_node(self, name: str) -> None:
        """Remove a node from the cluster and from this machine."""
        state = self.state()
        self._remove(state, self._named(state, name))
        self._forget_removed(state)

    def stop_node(self, name: str) -> None:
        """Let a node die: kubelet, runtime and all containers end at once."""
        self._switch(name, stopped=True)

    def start_node(self, name: str) -> None:
        """Start a stopped node again and wait until it is Ready."""
        self._switch(name, stopped=False)

    def runtime(self, name: str) -> RealNode:
        """Return a node, to ask its runtime."""
        state = self.state()
        return self.node(state, self._named(state, name))

    # Control plane

    def stop_part(self, part: str) -> None:
        """Let a part of the control plane be away until it, or the cluster, is started again."""
        self.control_plane(self.state()).stop(part)

    def start_part(self, _part: str) -> None:
        """Start what is away of the control plane, and wait until the API server is ready."""
        self.control_plane(self.state()).ensure()

    # Registry

    def stop_registry(self) -> None:
        """Let the registry be away until it is started again."""
        state = self.state()
        self.registry(state).stop()
        state.registry_stopped = True
        self.layout.save(state)

    def start_registry(self) -> None:
        """Start the registry again."""
        state = self.state()
        self.registry(state).ensure()
        state.registry_stopped = False
        self.layout.save(state)

    # Parts

    def state(self) -> State:
        """Return the recorded state. Raises ClusterError when there is no cluster."""
        state = self.layout.load()
        if state is None:
            raise ClusterError("there is no cluster here; `hack/cluster up` makes one")
        return state

    def control_plane(self, state: State) -> ControlPlane:
        """Return the control plane."""
        return ControlPlane(self.layout, Addresses(state.octet), self.programs, self.processes)

    def registry(self, state: State) -> Registry:
        """Return the registry."""
        return Registry(self.layout, Addresses(state.octet), self.processes)

    def node(self, state: State, node: Node) -> RealNode:
        """Return a real node."""
        return RealNode(node, self.layout, Addresses(state.octet), self.programs, self.processes)

    def fake_nodes(self, state: State) -> FakeNodes:
        """Return the fake nodes."""
        return FakeNodes(
            self.layout, Addresses(state.octet), self.programs, self.processes, self.control_plane(state)
        )

    def _fresh(self, nodes: int) -> State:
        """Return the state of a new cluster, once what an earlier one left behind is gone."""
        self._sweep()
        state = State(free_octet(self.layout.id))
        self._resize(state, nodes)
        self.layout.save(state)
        return state

    def _resize(self, state: State, nodes: int | None) -> bool:
        """Have node1 to nodeN, all alive; new ones are started later, others ended now.

        A reserved node stays as it is.
        """
        if nodes is None:
            return False
        before = len(state.nodes)
        names = [f"node{number}" for number in range(1, nodes + 1)]
        gone = [node for node in state.nodes if node.name not in names and not node.reserved]
        for node in gone:
            self._remove(state, node)
        there = {node.name for node in state.nodes}
        for name in names:
            if name not in there:
                state.nodes.append(Node(name, self._free_number(state)))
        for node in state.nodes:
            node.stopped = node.stopped and bool(node.reserved)
        self.layout.save(state)
        return bool(gone) or len(state.nodes) != before

    def _remove(self, state: State, node: Node) -> None:
        """Remove a node from this machine; the API server, which may be down now, is told later."""
        self.node(state, node).remove()
        for file in self.layout.pki.glob(f"{node.name}.*"):
            file.unlink()
        state.nodes.remove(node)
        state.removed.append(node.name)
        self.layout.save(state)

    def _forget_removed(self, state: State) -> None:
        """Tell the API server which nodes are no more."""
        there = {node.name for node in state.nodes}
        if gone := [name for name in state.removed if name not in there]:
            self.control_plane(state).kubectl("delete", "node", "--ignore-not-found", *gone)
        if state.removed:
            state.removed = []
            self.layout.save(state)

    def _switch(self, name: str, *, stopped: bool) -> None:
        state = self.state()
        node = self._named(state, name)
        node.stopped = stopped
        self.layout.save(state)
        if stopped:
            self.node(state, node).stop()
        else:
            self._begin(state, node)

    def _begin(self, state: State, node: Node) -> None:
        since = time.time()
        begun = {node.name} if self.node(state, node).ensure() else set()
        self._wait_for_nodes(state, begun, since)

    def _named(self, state: State, name: str) -> Node:
        for node in state.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in state.nodes)
        raise ClusterError(f"there is no node {name}; there are {names}")

    def _free_number(self, state: State) -> int:
        taken = {node.number for node in state.nodes}
        return next(number for number in range(1, MOST_NODES) if number not in taken)

    def _wait_for_nodes(self, state: State, begun: set[str], since: float) -> None:
        """Wait until all nodes are Ready; of those that were begun only what they said since then counts."""
        wanted = {node.name for node in state.nodes if not node.stopped}
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        missing = wanted
        while missing := wanted - self._ready(state, begun, since):
            if time.monotonic() > deadline:
                name = min(missing)
                raise ClusterError(
                    f"{', '.join(sorted(missing))} not Ready within {READY_WITHIN_SECONDS} s; "
                    f"read {self.processes.log(f'{name}-kubelet')}"
                )
            time.sleep(0.3)

    def _wait_for_account(self, state: State) -> None:
        """Wait for the ServiceAccount without which no pod can be made in the namespace `default`."""
        query = (
            "get",
            "serviceaccount",
            "default",
            "--namespace=default",
            "--ignore-not-found",
            "-o",
            "name",
        )
        self.processes.wait(
            "kube-controller-manager",
            lambda: bool(self.control_plane(state).kubectl(*query, check=False)),
            "the namespace `default` got no ServiceAccount",
        )

    def _ready(self, state: State, begun: set[str], since: float) -> set[str]:
        nodes = self.control_plane(state).objects("nodes", "-l", f"type!={FAKE}")
        return {
            node["metadata"]["name"]
            for node in nodes
            if is_ready(node) and (node["metadata"]["name"] not in begun or _heard(node) >= int(since))
        }

    def _sweep(self) -> None:
        """Remove whatever a cluster of this checkout left behind, recorded or not."""
        for name in reversed(self.processes.names()):
            self.processes.stop(name)
        folders = (self.layout.run_folder, self.layout.state_folder)
        shims = leftovers.shim_sockets(self.layout.run_folder)
        for folder in folders:
            end(mentioning(folder), 9)
        for folder in self.layout.cgroups:
            end(cgroups.processes(folder), 9)
        for path in shims:
            path.unlink(missing_ok=True)
        for folder in folders:
            mounts.unmount_below(folder)
        for disk in Path(self.layout.state_folder).glob("nodes/*/disk.img"):
            mounts.release_loop(disk)
        for folder in self.layout.cgroups:
            cgroups.remove(folder)
        for name in bridges(f"{self.layout.tag}-"):
            delete_bridge(name)
        if shutil.which("iptables"):
            delete_service_rules(self.layout)
        leftovers.remove_log_links(self.layout.state_folder)
        leftovers.remove_network_results(self.layout.run_folder)
        leftovers.remove_dead_device_socket()
        shutil.rmtree(self.layout.run_folder, ignore_errors=True)


def _heard(node: dict[str, Any]) -> float:
    """Return when the kubelet last told of its node."""
    times = [condition["lastHeartbeatTime"] for condition in node["status"]["conditions"]]
    return max(datetime.fromisoformat(text).timestamp() for text in times)
