"""The cache pods, as far as pins depend on them: small values, so that thousands fit into memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

from kip.core.render.image_names import ImageNames, fingerprint_in
from kip.core.status.pod_status import STARTING, fault_of, node_of

Manifest = dict[str, Any]


class PodId(NamedTuple):
    """Which pod exactly."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class CachePod:
    """One pod of a cache or of a net.

    `owner` is the uid of its DaemonSet, `born` its creationTimestamp, `template` the fingerprint of the
    template that it was made from ("" for none of kip's), `pins` the images whose containers run in it.
    `settled`: nothing is being pulled or started, each container runs or has failed. `started`: its kubelet
    knows it. `homeless`: it finds no place on its node; `squeezed`: because cpu or memory is short there.
    `silent`: its node has ceased to report. `refused`: which pod it is whose kubelet did not take it, or
    has evicted it; None for all others.
    `pulls`: its kubelet asks the registry at each start, whatever the template says (AlwaysPullImages).
    """

    node: str
    owner: str
    born: str
    template: str
    ready: bool
    settled: bool
    started: bool
    homeless: bool
    squeezed: bool
    silent: bool
    refused: PodId | None
    pulls: bool
    pins: frozenset[str]


def read_cache_pods(pods: Iterable[Manifest], listed: ImageNames) -> tuple[CachePod, ...]:
    """Read pods. One that is being deleted is left out: its pins go with it."""
    shared: dict[frozenset[str], frozenset[str]] = {}  # thousands of nodes, a handful of different sets
    return tuple(_read(pod, listed, shared) for pod in pods if not pod["metadata"].get("deletionTimestamp"))


def _read(pod: Manifest, listed: ImageNames, shared: dict[frozenset[str], frozenset[str]]) -> CachePod:
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    scheduling: Manifest = conditions.get("PodScheduled", {})
    containers = status.get("containerStatuses") or ()
    running = {item["name"] for item in containers if "running" in (item.get("state") or {})}
    template = intern(fingerprint_in(metadata))
    pins = frozenset(
        intern(listed.name_of(item["image"], item["name"], template))
        for item in pod["spec"]["containers"]
        if item["name"] in running
    )
    ready = conditions.get("Ready", {}).get("status") == "True"
    return CachePod(
        node=intern(node_of(pod)),
        owner=intern(_controller(metadata)),
        born=metadata.get("creationTimestamp", ""),
        template=template,
        ready=ready,
        settled=ready or _is_settled(containers) or _cannot_begin(status),
        started=bool(status.get("startTime")),
        homeless=scheduling.get("status") == "False",
        squeezed=_is_squeezed(scheduling.get("message", "")),
        # When a node stops reporting, the control plane takes Ready away, but nobody changes the containers.
        silent=not ready and bool(containers) and all(item.get("ready") for item in containers),
        refused=PodId(metadata["name"], metadata["uid"]) if status.get("phase") == "Failed" else None,
        pulls=any(item.get("imagePullPolicy") == "Always" for item in pod["spec"]["containers"]),
        pins=shared.setdefault(pins, pins),
    )


def _controller(metadata: Manifest) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _is_squeezed(message: str) -> bool:
    """Whether a pod that asks for nothing would fit, by the scheduler's words."""
    return "Insufficient" in message and "Too many pods" not in message


def _cannot_begin(status: Manifest) -> bool:
    """Whether an init container fails: the others then say PodInitializing for ever."""
    initial = status.get("initContainerStatuses") or ()
    return any(not item.get("ready") and fault_of(item)[0] not in STARTING for item in initial)


def _is_settled(containers: Iterable[Manifest]) -> bool:
    """Whether each container runs or has failed; the first pull of an image is neither."""
    states = [item.get("state") or {} for item in containers]
    return bool(states) and all(
        "running" in state or fault_of({"state": state})[0] not in STARTING for state in states
    )
