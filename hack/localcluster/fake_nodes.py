"""Fake nodes by kwok: thousands of them, whose pods run at once and pull nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localcluster.control_plane import ControlPlane, is_ready
from localcluster.layout import Addresses, Layout
from localcluster.process import Processes
from localcluster.programs import Programs

NAME = "kwok"
TYPE = "kwok"
"""The label `type` of fake nodes; real ones have none."""

CHUNK = 100
MARK = "kwok.x-k8s.io/node"
STAGES = Path(__file__).with_name("stages.yaml")


class FakeNodes:
    """The fake nodes of one cluster, named fake-1, fake-2, ..."""

    def __init__(
        self,
        layout: Layout,
        addresses: Addresses,
        programs: Programs,
        processes: Processes,
        control_plane: ControlPlane,
    ) -> None:
        self._layout = layout
        self._addresses = addresses
        self._programs = programs
        self._processes = processes
        self._control_plane = control_plane

    def ensure(self, count: int, before: int) -> bool:
        """Have exactly `count` of them, where `before` were recorded. Return whether anything changed."""
        started = self._processes.ensure(NAME, self._command(), files=[STAGES]) if count else False
        if count > before:
            self._create(range(before + 1, count + 1))
            self._wait(count)
        elif count < before:
            self._delete(range(count + 1, before + 1))
        if not count:
            self._processes.stop(NAME)
        return started or count != before

    def _create(self, numbers: range) -> None:
        """Create these nodes, at a pace that kubectl does not slow down: it does after 300 requests."""
        for chunk in _chunks(numbers):
            nodes = json.dumps(_list([_node(number) for number in chunk]))
            self._control_plane.kubectl("apply", "--server-side", "--filename=-", text=nodes)

    def _wait(self, count: int) -> None:
        def ready() -> bool:
            nodes = self._control_plane.objects("nodes", "-l", f"type={TYPE}")
            # A node that was not Ready is tainted for a while longer.
            return sum(is_ready(node) and not node["spec"].get("taints") for node in nodes) >= count

        self._processes.wait(NAME, ready, "the fake nodes were not Ready", seconds=60 + count)

    def _delete(self, numbers: range) -> None:
        """Delete these nodes, many with one request: kubectl would take 0.2 s for each."""
        for chunk in _chunks(numbers):
            names = ",".join(f"fake-{number}" for number in chunk)
            selector = quote(f"type={TYPE},kubernetes.io/hostname in ({names})")
            self._control_plane.kubectl("delete", "--raw", f"/api/v1/nodes?labelSelector={selector}")

    def _command(self) -> list[str]:
        return [
            self._programs["kwok"],
            f"--kubeconfig={self._layout.admin_kubeconfig}",
            f"--config={STAGES}",
            f"--manage-nodes-with-annotation-selector={MARK}=fake",
            "--node-lease-duration-seconds=40",
            f"--node-ip={self._addresses.control}",
            f"--server-address={self._addresses.loopback}:10247",
            "--cidr=198.18.0.0/15",
        ]


def _node(number: int) -> dict[str, Any]:
    name = f"fake-{number}"
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "type": TYPE,
    }
    metadata = {"name": name, "annotations": {MARK: "fake"}, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def _chunks(numbers: range) -> Iterator[range]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}
