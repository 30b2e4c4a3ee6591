"""Which nodes a job means, and which of those it names it cannot have."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kip.core.render.node_selection import has_labels
from kip.pulljob.spec import PullJob

Manifest = Mapping[str, Any]

VIRTUAL_LABEL = ("type", "virtual-kubelet")
VIRTUAL_TAINT = "virtual-kubelet.io/provider"
"""How virtual-kubelet marks its nodes; they have no image store. OpenKruise leaves them out too."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What a job has to know of a node.

    `unfit` is why it cannot hold images, in words ("" if it can), `away_since` since when its kubelet is not
    heard of (None while it is).
    """

    name: str
    labels: Mapping[str, str]
    unfit: str = ""
    away_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TargetNode:
    """A node that a job is for. `missing`: it is named, and there is none of that name."""

    name: str
    away_since: datetime | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A node that a job would be for, and why it is left out."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Targets:
    """All nodes of a job, in the order of the list, and those left out."""

    nodes: tuple[TargetNode, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def read_node(node: Manifest) -> NodeView:
    """Keep of a node, which is a big object, what a job has to know."""
    metadata, labels = node["metadata"], node["metadata"].get("labels") or {}
    conditions = {found["type"]: found for found in node.get("status", {}).get("conditions") or ()}
    ready = conditions.get("Ready", {})
    since = None
    if ready.get("status") != "True":
        since = datetime.fromisoformat(ready.get("lastTransitionTime") or metadata["creationTimestamp"])
    return NodeView(metadata["name"], labels, _unfit(node, labels), since)


def select(job: PullJob, nodes: Iterable[NodeView] | None, nodes_of_pods: Collection[str] = ()) -> Targets:
    """Return the nodes that the job means.

    `nodes` are all of the cluster, None where they may not be listed: then the named ones are taken to be
    there. `nodes_of_pods` are those of the active pods that the job's podSelector takes.
    """
    named = nodes_of_pods if job.pod_labels is not None else job.node_names
    if nodes is None:
        return Targets(tuple(TargetNode(name) for name in sorted(named)))
    there = {node.name: node for node in nodes}
    chosen = [node for node in there.values() if _is_meant(job, node, named)]
    chosen.sort(key=lambda node: node.name)
    missing = [TargetNode(name, missing=True) for name in job.node_names if name not in there]
    return Targets(
        (*(TargetNode(node.name, node.away_since) for node in chosen if not node.unfit), *missing),
        tuple(Skipped(node.name, node.unfit) for node in chosen if node.unfit),
    )


def nodes_of(pods: Iterable[Manifest]) -> frozenset[str]:
    """Return the nodes of the pods that are bound and active: neither ended nor being deleted."""
    return frozenset(
        pod["spec"]["nodeName"]
        for pod in pods
        if pod["spec"].get("nodeName")
        and not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )


def _is_meant(job: PullJob, node: NodeView, named: Collection[str]) -> bool:
    if job.node_names or job.pod_labels is not None:
        return node.name in named
    wanted = job.node_labels
    return wanted is None or has_labels(node.labels, wanted.labels, wanted.expressions)


def _unfit(node: Manifest, labels: Mapping[str, str]) -> str:
    system = labels.get("kubernetes.io/os") or (node.get("status", {}).get("nodeInfo") or {}).get(
        "operatingSystem"
    )
    taints = node.get("spec", {}).get("taints") or ()
    if labels.get(VIRTUAL_LABEL[0]) == VIRTUAL_LABEL[1] or any(
        taint.get("key") == VIRTUAL_TAINT for taint in taints
    ):
        return "a virtual node has no image store"
    if system and system != "linux":
        return f"its operating system is {system}, and kip's sleeper runs on linux only"
    return ""
