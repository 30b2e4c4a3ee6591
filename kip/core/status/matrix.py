"""Which image is on which node: the matrix, from the cache pods as the kubelets report them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kip.core.render.image_names import ImageNames
from kip.core.render.taints import tolerations_for
from kip.core.rollout.progress import Progress, read_progress
from kip.core.status.cell import FAILED_CREATE, NODE_NOT_READY, Cell, ImageState
from kip.core.status.excluded_nodes import ExcludedNode
from kip.core.status.pod_status import (
    cells_of,
    is_left_behind,
    is_left_without_place,
    is_of,
    is_on_lost_node,
    is_unstarted,
    kept_away,
    node_of,
)

Manifest = dict[str, Any]
API_VERSION = "kip.dev/v1alpha1"

RANK = [ImageState.CACHED, ImageState.PULLING, ImageState.FAILED, ImageState.WAITING, ImageState.ABSENT]
"""While an update rolls a node has two pods: the better word counts, as either pod pins the image."""


Seen = dict[str, Cell]
"""What the pods of one node say of each entry of the list, by its name."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells of one cache.

    `nodes` are those that have a cache pod, sorted; `podless` those that are known to lack one. `refused`
    says in the DaemonSet controller's words why it can make no pod, as far as that is known. `unstarted` has
    node and uid of each pod that its kubelet took up and could not start by now; only Events tell why.
    `images` are name and reference of the entries, in the order of the list, also while no node has a pod;
    `newest_pod` is when the last pod was made (RFC 3339). `left_out` are the selected nodes that have no pod,
    and are not counted, as taints keep them out; None where the nodes were not looked at.
    """

    namespace: str
    daemonset: str
    generation: int
    progress: Progress
    nodes: tuple[str, ...]
    cells: tuple[Cell, ...]
    podless: tuple[str, ...] = ()
    refused: str = ""
    unstarted: tuple[tuple[str, str], ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    newest_pod: str = ""
    left_out: tuple[ExcludedNode, ...] | None = None

    @property
    def without_pod(self) -> int:
        """Return how many nodes have no pod, known by name or not."""
        return max(0, self.progress.expected - len(self.nodes)) if self.progress.current else 0

    @property
    def complete(self) -> bool:
        """Whether every selected node has every image, by a count that is finished."""
        everywhere = self.progress.current and self.progress.wanted > 0 and not self.without_pod
        return everywhere and all(cell.state is ImageState.CACHED for cell in self.cells)

    def counts(self) -> dict[tuple[str, str], Counter[ImageState]]:
        """Return for each (name, image), in the order of the list, how many nodes are in which state."""
        empty = {entry: Counter[ImageState]() for entry in self.images}
        counts: defaultdict[tuple[str, str], Counter[ImageState]] = defaultdict(Counter, empty)
        for cell in self.cells:
            counts[cell.name, cell.image][cell.state] += 1
        for count in counts.values():
            count[ImageState.ABSENT] += max(0, self.without_pod - len(self.podless))
        return dict(counts)


def read_matrix(daemonset: Manifest, pods: Iterable[Manifest], *, now: datetime | None = None) -> Matrix:
    """Make the matrix of a cache from its DaemonSet and its pods; without `now` no kubelet is called silent.

    A pod that is being deleted counts for nothing: its pins go with it, and its node may be selected no more.
    But on a node that is not heard of nothing ends it, and the DaemonSet counts that node no more: there it
    is the only sign of the node, and stands for it; also one that a DaemonSet which was exchanged without
    patch left behind, as pods that are being deleted are not adopted. `pods` match the cache's selector.
    """
    metadata = daemonset["metadata"]
    wanted = [(item["name"], item["image"]) for item in daemonset["spec"]["template"]["spec"]["containers"]]
    by_node: dict[str, Seen] = {}
    lost: dict[str, Seen] = {}
    unstarted: list[tuple[str, str]] = []
    unplaced: dict[str, tuple[str, str]] = {}
    away: dict[str, tuple[str, str]] = {}
    newest, listed = "", ImageNames.by([daemonset])
    for pod in pods:
        # Pods are big: of thousands only their cells are kept.
        ours = is_of(pod, metadata["uid"])
        if is_on_lost_node(pod) and (ours or is_left_behind(pod)):
            _see(lost, pod, wanted, listed, now)
        if not ours:
            continue
        newest = max(newest, pod["metadata"].get("creationTimestamp") or "")
        if not pod["metadata"].get("deletionTimestamp"):
            _see(by_node, pod, wanted, listed, now)
            if why := kept_away(pod):
                away[node_of(pod)] = why
                if now and is_left_without_place(pod, now):
                    unplaced[node_of(pod)] = why
            if now and is_unstarted(pod, now):
                unstarted.append((node_of(pod), pod["metadata"]["uid"]))
    by_node = lost | by_node
    nodes = tuple(sorted(by_node))
    cells = (
        # What keeps a pod of an older list away would keep one of the newest away as well.
        by_node[node].get(name) or Cell(node, name, image, ImageState.ABSENT, *away.get(node, ()))
        for name, image in wanted
        for node in nodes
    )
    cells = (_uncertain(cell) if cell.node in lost else _unplaced(cell, unplaced) for cell in cells)
    return Matrix(
        namespace=metadata["namespace"],
        daemonset=metadata["name"],
        generation=metadata.get("generation", 0),
        progress=read_progress(daemonset),
        nodes=nodes,
        cells=tuple(cells),
        unstarted=tuple(unstarted),
        images=tuple(wanted),
        newest_pod=newest,
    )


def with_podless(matrix: Matrix, selected: Iterable[str], refused: str) -> Matrix:
    """Return the matrix with the nodes that the cache goes to and that have no pod, and why, if known."""
    podless = tuple(sorted(set(selected) - set(matrix.nodes)))
    reason = FAILED_CREATE if refused else ""
    cells = (
        Cell(node, name, image, ImageState.ABSENT, reason, refused)
        for name, image in matrix.counts()
        for node in podless
    )
    return replace(matrix, podless=podless, refused=refused, cells=(*matrix.cells, *cells))


def with_left_out(matrix: Matrix, found: Iterable[ExcludedNode]) -> Matrix:
    """Return the matrix with the nodes that taints leave out: a pod that was there before one may stay."""
    there = set(matrix.nodes)
    return replace(matrix, left_out=tuple(one for one in found if one.node not in there))


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
            "without_pod": matrix.without_pod,
            "refused": matrix.refused,
            "left_out": None if matrix.left_out is None else [_left_out(one) for one in matrix.left_out],
        },
        "images": [
            {"name": name, "image": image, **{state.value: count[state] for state in ImageState}}
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
                "since": cell.since,
                "attempts": cell.attempts,
                "pull_seconds": cell.pull_seconds,
                "size": cell.size,
                "next_try": cell.next_try,
            }
            for cell in matrix.cells
        ],
    }


def _left_out(found: ExcludedNode) -> Manifest:
    lacking = tolerations_for(found.standing)
    return {"node": found.node, "taints": [*found.taints], "tolerations": [*lacking]}


def _see(
    by_node: dict[str, Seen],
    pod: Manifest,
    wanted: Iterable[tuple[str, str]],
    listed: ImageNames,
    now: datetime | None,
) -> None:
    node = node_of(pod)
    seen = by_node.setdefault(node, {})
    for cell in cells_of(node, wanted, pod, listed, now):
        before = seen.get(cell.name)
        seen[cell.name] = _merged(before, cell) if before else cell


def _merged(first: Cell, second: Cell) -> Cell:
    """Return what two pods of one node tell of an image."""
    best, other = sorted((first, second), key=lambda cell: RANK.index(cell.state))
    # The pod before a new one may know why that will not start either: a node with a full disk refuses each.
    waits = best.state is ImageState.WAITING and not best.reason
    # Held by the pod before, while the newest fails.
    held = best.state is ImageState.CACHED and other.state is ImageState.FAILED
    if not waits and not held:
        return best
    return replace(best, reason=other.reason, message=other.message, attempts=other.attempts)


def _unplaced(cell: Cell, why: Mapping[str, tuple[str, str]]) -> Cell:
    """Return what is known of an image that is held by a pod whose successor finds no place on the node."""
    if cell.state is not ImageState.CACHED or cell.reason or cell.node not in why:
        return cell
    reason, message = why[cell.node]
    return replace(cell, reason=reason, message=message)


def _uncertain(cell: Cell) -> Cell:
    """Return what is known of an image on a node that is not heard of."""
    message = f"the node is not heard of; its last word on this image: {cell.state.value}"
    return replace(cell, state=ImageState.WAITING, reason=NODE_NOT_READY, message=message)
