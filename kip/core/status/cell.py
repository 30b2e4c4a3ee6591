"""One image on one node."""

from dataclasses import dataclass
from enum import StrEnum

NODE_NOT_READY = "NodeNotReady"
"""Kubernetes' own word for a node whose kubelet is not heard of."""

KUBELET_SILENT = "KubeletSilent"
FAILED_CREATE = "FailedCreate"
"""The DaemonSet controller's word for a pod that it may not create: a quota, Pod Security, a webhook."""


UNSCHEDULABLE = "Unschedulable"
"""The scheduler's word for a pod that has no place on its node."""

UNTOLERATED_TAINT = "UntoleratedTaint"
"""After the scheduler's words, "had untolerated taint": the DaemonSet controller says nothing of it."""

OF_THE_NODE = (NODE_NOT_READY, KUBELET_SILENT, FAILED_CREATE, UNSCHEDULABLE, UNTOLERATED_TAINT)
"""Reasons that are about the node or the place on it, whatever the image."""


class ImageState(StrEnum):
    """One image on one node."""

    CACHED = "cached"
    PULLING = "pulling"
    WAITING = "waiting"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Cell:
    """One image on one node.

    `reason` and `message` are those of the kubelet, the scheduler or the DaemonSet controller; where the
    kubelet is not heard of the reason is NODE_NOT_READY or KUBELET_SILENT. `digest` is the image ID that the
    runtime gave ("" until the image is there); `since` when the container was started that pins it now (RFC
    3339, "" while there is none). `attempts` counts how often the kubelet tried to start it, or to pull it
    where Events tell; 0 when nobody told. `pull_seconds` and `size` (bytes) are of the newest pull that an
    Event tells of, None without one. `next_try` is when the kubelet tries a failed image again, as far as it
    can be reckoned (RFC 3339).
    """

    node: str
    name: str
    image: str
    state: ImageState
    reason: str = ""
    message: str = ""
    digest: str = ""
    since: str = ""
    attempts: int = 0
    pull_seconds: float | None = None
    size: int | None = None
    next_try: str = ""
