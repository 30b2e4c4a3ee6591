"""What one cache pod tells of its images: its status as the kubelet writes it, read into cells."""

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from kip.core.render.image_names import ImageNames, fingerprint_in
from kip.core.status.cell import KUBELET_SILENT, Cell, ImageState
from kip.redact import shown

Manifest = dict[str, Any]

STARTING = {"ContainerCreating", "PodInitializing", ""}
"""Waiting reasons that mean no trouble; every other one is a failure in the kubelet's own words."""

CRASHING = "CrashLoopBackOff"
_BACK_OFF = re.compile(r"back-off (?:(\d+)m)?(?:(\d+)s)? restarting")
SET_UP_AFTER = timedelta(seconds=3)
UNPLACED_AFTER = timedelta(seconds=15)
SILENT_AFTER = timedelta(seconds=30)
"""A kubelet that is well takes up a pod within a second or two, also one that is busy with many."""


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


def is_of(pod: Manifest, uid: str) -> bool:
    """Whether the pod belongs to the DaemonSet with this uid."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid for owner in owners)


def is_left_behind(pod: Manifest) -> bool:
    """Whether the pod lost its DaemonSet while it was being deleted, so that no other one adopts it."""
    return bool(pod["metadata"].get("deletionTimestamp")) and not pod["metadata"].get("ownerReferences")


def is_on_lost_node(pod: Manifest) -> bool:
    """Whether the pod was ready when its node was heard of for the last time.

    The controller that watches over the nodes then takes the pod's readiness away, and no more than that. A
    kubelet gives a reason, and never says that all containers are ready and the pod is not.
    """
    conditions = {found["type"]: found for found in (pod.get("status") or {}).get("conditions") or ()}
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    return (ready.get("status"), containers.get("status")) == ("False", "True") and not ready.get("reason")


def is_unstarted(pod: Manifest, now: datetime) -> bool:
    """Whether the kubelet took the pod up, and could not even begin with its containers for a while."""
    status = pod.get("status") or {}
    conditions = {found["type"]: found["status"] for found in status.get("conditions") or ()}
    if conditions.get("PodReadyToStartContainers") != "False" or not status.get("startTime"):
        return False
    ended = status.get("phase") not in {"Pending", None}
    return not ended and now - datetime.fromisoformat(status["startTime"]) > SET_UP_AFTER


def cells_of(
    node: str, wanted: Iterable[tuple[str, str]], pod: Manifest, listed: ImageNames, now: datetime | None
) -> Iterator[Cell]:
    """Yield a cell for each container of the pod that holds one of the `wanted` (name, image)."""
    holders: dict[str, list[str]] = {}
    template = fingerprint_in(pod["metadata"])
    for item in pod["spec"]["containers"]:
        image = listed.name_of(item["image"], item["name"], template)
        holders.setdefault(image, []).append(item["name"])
    status = pod.get("status") or {}
    statuses = {found["name"]: found for found in status.get("containerStatuses") or ()}
    trouble = _trouble_of_pod(status)
    if not trouble and not statuses:
        trouble = ImageState.WAITING, *_silence(status, now)
    pulled = _being_pulled(pod) if statuses else ""
    for name, image in wanted:
        for holder in holders.get(image, ()):
            if trouble:
                yield Cell(node, name, image, *trouble)
            elif holder in statuses:
                yield _cell_of(node, name, image, statuses[holder], is_next=holder == pulled)


def _trouble_of_pod(status: Manifest) -> tuple[ImageState, str, str] | None:
    """Return what keeps the whole pod from starting: no place on the node, or a failing init container."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return ImageState.ABSENT, condition.get("reason") or "", shown(condition.get("message") or "")
    if status.get("phase") == "Failed":
        return ImageState.ABSENT, status.get("reason") or "Failed", shown(status.get("message") or "")
    for found in status.get("initContainerStatuses") or ():
        reason, message = fault_of(found)
        if reason not in STARTING and not found.get("ready"):
            return ImageState.FAILED, reason, shown(f"init container {found['name']}: {message}".rstrip(": "))
    return None


def _silence(status: Manifest, now: datetime | None) -> tuple[str, str]:
    """Return what to say of a pod that was given to a node long ago, and that its kubelet never took up."""
    given = _scheduling(status, "True")
    if now and given and now - given > SILENT_AFTER and not status.get("startTime"):
        return KUBELET_SILENT, "the kubelet has not taken up the pod; it may be down"
    return "", ""


def kept_away(pod: Manifest) -> tuple[str, str] | None:
    """Return reason and message of what keeps the pod away from its node, whatever its images."""
    trouble = _trouble_of_pod(pod.get("status") or {})
    return trouble[1:] if trouble and trouble[0] is ImageState.ABSENT else None


def is_left_without_place(pod: Manifest, now: datetime) -> bool:
    """Whether the scheduler has found no place for the pod for longer than an exchange of pods takes."""
    since = _scheduling(pod.get("status") or {}, "False")
    return since is not None and now - since > UNPLACED_AFTER


def _scheduling(status: Manifest, value: str) -> datetime | None:
    """Return since when the condition PodScheduled has this value, as far as it is told."""
    for found in status.get("conditions") or ():
        if found["type"] == "PodScheduled" and found["status"] == value and found.get("lastTransitionTime"):
            return datetime.fromisoformat(found["lastTransitionTime"])
    return None


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
        return Cell(node, name, image, ImageState.CACHED, digest=digest, since=since)
    reason, message = _crash_of(found)
    if reason not in STARTING:
        attempts = found.get("restartCount", 0) + 1 if _has_started(found) else 0
        again = _next_start(found)
        words = sys.intern(reason), sys.intern(shown(message))
        return Cell(node, name, image, ImageState.FAILED, *words, digest, attempts=attempts, next_try=again)
    return Cell(node, name, image, ImageState.PULLING if is_next else ImageState.WAITING)


def _has_started(found: Manifest) -> bool:
    return bool(found.get("restartCount") or found.get("containerID"))


def _crash_of(found: Manifest) -> tuple[str, str]:
    """Return the fault of a container, of one that is not started again for a while what ended it."""
    reason, message = fault_of(found)
    ended = (found.get("lastState") or {}).get("terminated") or {}
    if reason != CRASHING or not ended.get("reason"):
        return reason, message
    why = ended.get("message") or f"exit code {ended.get('exitCode')}"
    return ended["reason"], f"{why}; {message}"


def _next_start(found: Manifest) -> str:
    """Return when a container that crashed is started again: so long after its end as the kubelet says."""
    ended = ((found.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    match = _BACK_OFF.search(fault_of(found)[1])
    if not ended or not match:
        return ""
    minutes, seconds = (int(part or 0) for part in match.groups())
    at = datetime.fromisoformat(ended) + timedelta(minutes=minutes, seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def fault_of(found: Manifest) -> tuple[str, str]:
    """Return reason and message of a container's status, as the kubelet words them; "" while it runs."""
    state = found.get("state") or {}
    fault = state.get("waiting") or state.get("terminated") or {}
    if fault.get("exitCode") == 0:
        return "", ""
    return fault.get("reason") or "", fault.get("message") or ""
