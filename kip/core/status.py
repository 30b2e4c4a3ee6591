"""Which image is on which node: the matrix, from the cache pods as the kubelets report them."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from kip.core.progress import Progress, read_progress

Manifest = dict[str, Any]
API_VERSION = "kip.dev/v1alpha1"

STARTING = {"ContainerCreating", "PodInitializing", ""}
"""Waiting reasons that mean no trouble; every other one is a failure in the kubelet's own words."""


NODE_NOT_READY = "NodeNotReady"
"""Kubernetes' own word for a node whose kubelet is not heard of."""

KUBELET_SILENT = "KubeletSilent"
SILENT_AFTER = timedelta(seconds=30)
"""A kubelet that is well takes up a pod within a second or two, also one that is busy with many."""


class State(StrEnum):
    """One image on one node."""

    CACHED = "cached"
    PULLING = "pulling"
    WAITING = "waiting"
    FAILED = "failed"
    ABSENT = "absent"


RANK = [State.CACHED, State.PULLING, State.FAILED, State.WAITING, State.ABSENT]
"""While an update rolls a node has two pods: the better word counts, as either pod pins the image."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One image on one node.

    `reason` and `message` are the kubelet's or the scheduler's; where the kubelet is not heard of the reason
    is NODE_NOT_READY or KUBELET_SILENT. `digest` is the image ID that the runtime gave ("" until the image is
    there); `since` when the container was started that pins it now (RFC 3339, "" while there is none).
    """

    node: str
    name: str
    image: str
    state: State
    reason: str = ""
    message: str = ""
    digest: str = ""
    since: str = ""


Seen = dict[str, list[Cell]]
"""What the pods of one node say of each entry of the list, by its name."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells of one cache. `nodes` are those that have a cache pod, sorted."""

    namespace: str
    daemonset: str
    generation: int
    progress: Progress
    nodes: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def complete(self) -> bool:
        """Whether every selected node has every image, by a count that is finished."""
        everywhere = self.progress.current and 0 < self.progress.wanted <= len(self.nodes)
        return everywhere and all(cell.state is State.CACHED for cell in self.cells)

    def counts(self) -> dict[tuple[str, str], Counter[State]]:
        """Return for each (name, image), in the order of the list, how many nodes are in which state."""
        counts: defaultdict[tuple[str, str], Counter[State]] = defaultdict(Counter)
        for cell in self.cells:
            counts[cell.name, cell.image][cell.state] += 1
        return dict(counts)


def read_matrix(daemonset: Manifest, pods: Iterable[Manifest], *, now: datetime | None = None) -> Matrix:
    """Make the matrix of a cache from its DaemonSet and its pods; without `now` no kubelet is called silent.

    A pod that is being deleted counts for nothing: its pins go with it, and its node may be selected no more.
    But on a node that is not heard of nothing ends it, and the DaemonSet counts that node no more: there it
    is the only sign of the node, and stands for it.
    """
    metadata = daemonset["metadata"]
    wanted = [(item["name"], item["image"]) for item in daemonset["spec"]["template"]["spec"]["containers"]]
    by_node: dict[str, Seen] = {}
    lost: dict[str, Seen] = {}
    for pod in pods:
        # Pods are big: of thousands only their cells are kept.
        if not _is_of(pod, metadata["uid"]):
            continue
        if _is_on_lost_node(pod):
            _see(lost, pod, wanted, now)
        if not pod["metadata"].get("deletionTimestamp"):
            _see(by_node, pod, wanted, now)
    by_node = lost | by_node
    nodes = tuple(sorted(by_node))
    cells = (
        _cell(node, name, image, by_node[node].get(name, ())) for name, image in wanted for node in nodes
    )
    return Matrix(
        namespace=metadata["namespace"],
        daemonset=metadata["name"],
        generation=metadata.get("generation", 0),
        progress=read_progress(daemonset),
        nodes=nodes,
        cells=tuple(_uncertain(cell) if cell.node in lost else cell for cell in cells),
    )


def to_document(matrix: Matrix) -> Manifest:
    """Return the matrix as plain values, for `-o json`; the keys are a promise to programs."""
    return {
        "apiVersion": API_VERSION,
        "namespace": matrix.namespace,
        "daemonset": matrix.daemonset,
        "generation": matrix.generation,
        "complete": matrix.complete,
        "nodes": {
            "wanted": matrix.progress.wanted,
            "seen": len(matrix.nodes),
            "state": matrix.progress.state,
        },
        "images": [
            {"name": name, "image": image, **{state.value: count[state] for state in State}}
            for (name, image), count in matrix.counts().items()
        ],
        "cells": [
            {
                "node": cell.node,
                "name": cell.name,
                "image": cell.image,
                "state": cell.state.value,
                "reason": cell.reason,
                "message": cell.message,
                "digest": cell.digest,
            }
            for cell in matrix.cells
        ],
    }


def node_of(pod: Manifest) -> str:
    """Return the node of a cache pod; one that is not bound yet names it in its affinity."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name":
                return str(field["values"][0])
    return ""


def _is_of(pod: Manifest, uid: str) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid for owner in owners)


def _see(
    by_node: dict[str, Seen], pod: Manifest, wanted: Iterable[tuple[str, str]], now: datetime | None
) -> None:
    node = node_of(pod)
    seen = by_node.setdefault(node, {})
    for name, image in wanted:
        seen.setdefault(name, []).extend(_cells_of(node, name, image, pod, now))


def _cell(node: str, name: str, image: str, cells: Sequence[Cell]) -> Cell:
    absent = Cell(node, name, image, State.ABSENT)
    best = min(cells, key=lambda cell: RANK.index(cell.state), default=absent)
    if best.state is State.WAITING and not best.reason:
        # The pod before this one may know why it will not start either: a node with a full disk refuses each.
        told = next((cell for cell in cells if cell.reason), best)
        return replace(best, reason=told.reason, message=told.message)
    return best


def _uncertain(cell: Cell) -> Cell:
    """Return what is known of an image on a node that is not heard of."""
    message = f"the node is not heard of; its last word on this image: {cell.state.value}"
    return replace(cell, state=State.WAITING, reason=NODE_NOT_READY, message=message)


def _is_on_lost_node(pod: Manifest) -> bool:
    """Whether the pod was ready when its node was heard of for the last time.

    The controller that watches over the nodes then takes the pod's readiness away, and no more than that. A
    kubelet gives a reason, and never says that all containers are ready and the pod is not.
    """
    conditions = {found["type"]: found for found in (pod.get("status") or {}).get("conditions") or ()}
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    return (ready.get("status"), containers.get("status")) == ("False", "True") and not ready.get("reason")


def _cells_of(node: str, name: str, image: str, pod: Manifest, now: datetime | None) -> Iterable[Cell]:
    containers = [item["name"] for item in pod["spec"]["containers"] if item["image"] == image]
    if not containers:
        return
    status = pod.get("status") or {}
    if trouble := _trouble_of_pod(status):
        state, reason, message = trouble
        yield Cell(node, name, image, state, reason, message)
        return
    statuses = status.get("containerStatuses") or ()
    for found in statuses:
        if found["name"] in containers:
            yield _cell_of(node, name, image, found, is_next=found["name"] == _being_pulled(pod))
    if not statuses:
        reason, message = _silence(status, now)
        yield Cell(node, name, image, State.WAITING, reason, message)


def _trouble_of_pod(status: Manifest) -> tuple[State, str, str] | None:
    """Return what keeps the whole pod from starting: no place on the node, or a failing init container."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return State.ABSENT, condition.get("reason", ""), condition.get("message", "")
    if status.get("phase") == "Failed":
        return State.ABSENT, status.get("reason", "Failed"), status.get("message", "")
    for found in status.get("initContainerStatuses") or ():
        reason, message = fault_of(found)
        if reason not in STARTING and not found.get("ready"):
            return State.FAILED, reason, f"init container {found['name']}: {message}".rstrip(": ")
    return None


def _silence(status: Manifest, now: datetime | None) -> tuple[str, str]:
    """Return what to say of a pod that was given to a node long ago, and that its kubelet never took up."""
    given = [
        datetime.fromisoformat(found["lastTransitionTime"])
        for found in status.get("conditions") or ()
        if found["type"] == "PodScheduled" and found["status"] == "True"
    ]
    if now and given and now - given[0] > SILENT_AFTER and not status.get("startTime"):
        return KUBELET_SILENT, "the kubelet has not taken up the pod; it may be down"
    return "", ""


def _being_pulled(pod: Manifest) -> str:
    """Return the container whose image is being pulled.

    The kubelet takes them one by one, in order, once the init containers are done. (Their waiting reason
    stays PodInitializing even then.)
    """
    status = pod["status"]
    if not all(_has_ended_well(found) for found in status.get("initContainerStatuses") or ()):
        return ""
    starting = {
        found["name"]
        for found in status.get("containerStatuses") or ()
        if "waiting" in (found.get("state") or {}) and fault_of(found)[0] in STARTING
    }
    return next((item["name"] for item in pod["spec"]["containers"] if item["name"] in starting), "")


def _has_ended_well(found: Manifest) -> bool:
    ended = (found.get("state") or {}).get("terminated") or {}
    return "exitCode" in ended and ended["exitCode"] == 0


def _cell_of(node: str, name: str, image: str, found: Manifest, *, is_next: bool) -> Cell:
    # One string for all nodes: of thousands each has its own copy otherwise.
    digest = sys.intern(str(found.get("imageID") or "").rpartition("://")[2])
    state = found.get("state") or {}
    if "running" in state:
        since = sys.intern(state["running"].get("startedAt") or "")
        return Cell(node, name, image, State.CACHED, digest=digest, since=since)
    reason, message = fault_of(found)
    if reason not in STARTING:
        return Cell(node, name, image, State.FAILED, reason, message, digest)
    return Cell(node, name, image, State.PULLING if is_next else State.WAITING)


def fault_of(found: Manifest) -> tuple[str, str]:
    """Return reason and message of a container's status, as the kubelet words them; "" while it runs."""
    state = found.get("state") or {}
    fault = state.get("waiting") or state.get("terminated") or {}
    if fault.get("exitCode") == 0:
        return "", ""
    return fault.get("reason") or "", fault.get("message") or ""
