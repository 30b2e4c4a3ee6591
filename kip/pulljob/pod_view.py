"""What the pod of a pull tells: image by image, in the kubelet's own words."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from kip.core.status.pod_status import STARTING, fault_of
from kip.redact import shown

Manifest = Mapping[str, Any]

JOB_LABEL = "kip.dev/pull-job"
"""Pod label: the key of the job."""

SERIAL_LABEL = "kip.dev/pull-serial"
"""Pod label: which pod of its job on its node this is, from 1."""

NODE_LABEL = "kip.dev/pull-node"
"""Pod label: a hash of the node's name, as names may be longer than a label."""

CONTAINER_PREFIX = "image-"
"""A container is called so and by the hash of its image: a webhook may exchange the reference itself."""


class ContainerReport(StrEnum):
    """What a pod shows of one image."""

    WAITING = "waiting"
    PULLED = "pulled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PullFailure:
    """Why an image is not there: the kubelet's or the API server's reason and message."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull that came to an end: the image ID of the runtime, and where known how long, and how much.

    `there` tells that the image was on the node already. `seconds` and `size` (bytes) are None when unknown.
    """

    digest: str
    seconds: float | None = None
    size: int | None = None
    there: bool = False


@dataclass(frozen=True, slots=True)
class ImageReport:
    """One image in one pod; `hash` is that of its reference. `pull` is there if and only if it is PULLED."""

    hash: str
    shown: ContainerReport
    fault: PullFailure | None = None
    pull: Pull | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    """What a stepper has to know of a pod.

    `begun` is when its kubelet took it up (None: not yet), `moved` when it last got on (a container started
    or ended). `ended`: it runs no more; `deleting` is since when it is being deleted; from `expires` on no
    driver can still want it.
    """

    name: str
    uid: str
    job: str
    node: str
    serial: int
    images: tuple[ImageReport, ...]
    created: datetime
    moved: datetime
    begun: datetime | None = None
    ended: bool = False
    deleting: datetime | None = None
    expires: datetime | None = None


SPARE = timedelta(minutes=10)
"""A pod that is older than its own deadline and this has no driver that waits for it."""


def read_pod(pod: Manifest) -> PodView:
    """Keep of a pull pod what a job has to know."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    labels, created = metadata.get("labels") or {}, datetime.fromisoformat(metadata["creationTimestamp"])
    begun = _time(status.get("startTime"))
    serial = labels.get(SERIAL_LABEL, "")
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        job=labels.get(JOB_LABEL, ""),
        node=spec.get("nodeName") or "",
        serial=int(serial) if serial.isdecimal() else 0,
        images=tuple(_images(pod, begun)),
        created=created,
        moved=max(filter(None, (created, begun, *_times(status)))),
        begun=begun,
        ended=status.get("phase") in ("Succeeded", "Failed"),
        deleting=_time(metadata.get("deletionTimestamp")),
        expires=created + timedelta(seconds=spec.get("activeDeadlineSeconds") or 0) + SPARE,
    )


def _images(pod: Manifest, begun: datetime | None) -> Iterator[ImageReport]:
    status = pod.get("status") or {}
    trouble, since = _trouble(status), begun
    statuses = {found["name"]: found for found in status.get("containerStatuses") or ()}
    for found in status.get("initContainerStatuses") or ():
        since = _later(since, found)
    for container in pod["spec"]["containers"]:
        name = container["name"]
        found = statuses.get(name, {})
        yield _seen(name.removeprefix(CONTAINER_PREFIX), found, trouble, since)
        since = _later(since, found)


def _seen(name: str, found: Manifest, trouble: PullFailure | None, since: datetime | None) -> ImageReport:
    # The runtime names an image only when it has it; that is more than any word of the pod's phase.
    if image_id := found.get("imageID"):
        # One string for all nodes: of thousands each has its own copy otherwise.
        digest = sys.intern(str(image_id).rpartition("://")[2])
        started = _started(found)
        seconds = (started - since).total_seconds() if started and since else None
        return ImageReport(name, ContainerReport.PULLED, pull=Pull(digest, seconds))
    if trouble:
        return ImageReport(name, ContainerReport.FAILED, trouble)
    reason, message = fault_of(dict(found))
    if reason in STARTING:
        return ImageReport(name, ContainerReport.WAITING)
    return ImageReport(name, ContainerReport.FAILED, PullFailure(reason, shown(message)))


def _trouble(status: Manifest) -> PullFailure | None:
    """Return what keeps all of the pod from starting: the node has no room, or it cannot get the sleeper."""
    if status.get("phase") == "Failed":
        return PullFailure(status.get("reason") or "Failed", shown(status.get("message") or ""))
    if status.get("phase") == "Succeeded":
        return PullFailure("NoImageID", "the pod has ended, and the runtime names no image")
    for found in status.get("initContainerStatuses") or ():
        reason, message = fault_of(dict(found))
        if reason not in STARTING:
            return PullFailure(reason, shown(f"init container {found['name']}: {message}".rstrip(": ")))
    return None


def _times(status: Manifest) -> Iterator[datetime]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for found in status.get(kind) or ():
            if latest := _later(None, found):
                yield latest


def _later(since: datetime | None, found: Manifest) -> datetime | None:
    """Return when a container started or, for an init container, ended, if that is later than `since`."""
    state = found.get("state") or {}
    ended = state.get("terminated") or {}
    latest = _time(ended.get("finishedAt") or ended.get("startedAt")) or _started(found)
    return max(filter(None, (since, latest)), default=None)


def _started(found: Manifest) -> datetime | None:
    state = found.get("state") or {}
    return _time((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
