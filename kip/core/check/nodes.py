"""Nodes that the cache reaches, and those that it does not."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kip.core.check.findings import Finding, Severity, Unread
from kip.core.render.node_selection import is_selected, left_out_nodes
from kip.core.render.taints import is_passing, tolerations_for

Manifest = dict[str, Any]

MOST_CONTAINERS = 300_000
"""What Kubernetes is made for in one cluster (kubernetes.io, "Considerations for large clusters")."""


@dataclass(frozen=True, slots=True)
class NodeCoverage:
    """How many nodes there are, are selected, and get a cache pod; which taints keep how many away."""

    nodes: int
    selected: int
    reached: int
    taints: tuple[tuple[str, int], ...]


def node_coverage(nodes: Sequence[Mapping[str, Any]], pod: Mapping[str, Any]) -> NodeCoverage:
    """Count the nodes for this pod spec. A node with two taints counts for both."""
    selected = [node for node in nodes if is_selected(node, pod)]
    kept_away = left_out_nodes(pod, selected)
    counts = Counter(taint for found in kept_away for taint in set(found.taints))
    return NodeCoverage(
        len(nodes), len(selected), len(selected) - len(kept_away), tuple(sorted(counts.items()))
    )


def check_nodes(found: NodeCoverage | Unread, images: int) -> tuple[Finding, ...]:
    """Return what is to be said about selection, taints and scale."""
    if isinstance(found, Unread):
        return tuple(
            Finding(name, Severity.SKIPPED, found.reason) for name in ("nodes", "taints", "containers")
        )
    if not found.selected:
        remedy = "Correct NODE_SELECTOR or AFFINITY; `kubectl get nodes --show-labels` lists the labels."
        message = f"none of {found.nodes} nodes is selected (Linux nodes only)"
        return (Finding("nodes", Severity.PROBLEM, message, remedy, "NODE_SELECTOR"),)
    selected = Finding("nodes", Severity.OK, f"{found.selected} of {found.nodes} nodes are selected")
    return (selected, *_taints(found), _containers(found.reached, images))


def _taints(found: NodeCoverage) -> tuple[Finding, ...]:
    if not found.taints:
        return (Finding("taints", Severity.OK, "no taint keeps the cache from a selected node"),)
    state = Severity.WARNING if found.reached else Severity.PROBLEM
    return tuple(
        Finding(
            "taints", state, f"{count} of {found.selected} selected nodes are left out", _remedy(taint), taint
        )
        for taint, count in found.taints
    )


def _remedy(taint: str) -> str:
    if is_passing(taint):
        return "It was set by Kubernetes, or by what manages the node, and goes once the node is well."
    (toleration,) = tolerations_for([taint])
    return f"To cache there too, add {json.dumps(toleration)} to TOLERATIONS."


def _containers(nodes: int, images: int) -> Finding:
    count = nodes * images
    message = f"{images} images on {nodes} nodes are {count:,} containers"
    if count > MOST_CONTAINERS:
        remedy = "Shorten the list or select fewer nodes."
        return Finding(
            "containers", Severity.PROBLEM, f"{message}; Kubernetes is made for {MOST_CONTAINERS:,}", remedy
        )
    if count > MOST_CONTAINERS // 2:
        remedy = "Keep room for everybody else's containers."
        return Finding("containers", Severity.WARNING, f"{message}, of {MOST_CONTAINERS:,}", remedy)
    return Finding("containers", Severity.OK, message)
