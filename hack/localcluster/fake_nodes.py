"""Fake nodes by kwok: thousands of them, whose pods run at once and pull nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from localcluster.control_plane import ControlPlane
from localcluster.layout import Addresses, Layout
from localcluster.process import Processes
from localcluster.programs import Programs

NAME = "kwok"
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
            nodes = [_node(number) for number in range(before + 1, count + 1)]
            self._control_plane.kubectl("apply", "-f", "-", text=json.dumps(_list(nodes)))
        elif count < before:
            names = [f"fake-{number}" for number in range(count + 1, before + 1)]
            self._control_plane.kubectl("delete", "node", "--ignore-not-found", "--wait=false", *names)
        if not count:
            self._processes.stop(NAME)
        return started or count != before

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
        "type": "kwok",
    }
    metadata = {"name": name, "annotations": {MARK: "fake"}, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}
