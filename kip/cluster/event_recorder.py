"""Notices as Events of Kubernetes, on the cache, the keeper's Deployment, or a pull job.

The form is events.k8s.io/v1: what lasts is one Event whose series counts, as nothing else of it may change.
They are sent by a thread of their own: a slow API server is not to delay the keeping of images.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import structlog

from kip.cluster.api import TOLD_EVENTS, Cluster
from kip.core.rights import Rights
from kip.core.status.notifications import Notification
from kip.errors import ApiError

Manifest = dict[str, Any]

CONTROLLER = "kip.dev/keeper"
NOTE_BYTES = 1024
INSTANCE_LENGTH = 128
LONGEST_STEM = 200
BURST = 25.0
RESERVE = 10.0
"""So many of a burst are for warnings alone."""

REFILL_SECONDS = 10.0
"""A burst of Events may come at once, and then one in this time: a cache that fares ill is no reason to flood
the cluster. What has to wait is told later, if it lasts; the log, the status and the page have all of it."""

QUEUED = 100
LOST_KEPT = 1000

log = structlog.get_logger()


@dataclass(slots=True)
class EventRecorder:
    """Writes Events as far as that is allowed; never raises an ApiError, as no image depends on it.

    `clock` is monotonic seconds, `me` the keeper's name. `about` is the object that they are on; None: nobody
    would find them, and none is written. Nothing is sent before `start`, but by `send_waiting`.
    """

    cluster: Cluster
    rights: Callable[[str], Rights]
    clock: Callable[[], float]
    me: str
    about: Manifest | None = None
    _tokens: float = BURST
    _filled: float = 0.0
    _failing: bool = False
    _numbers: Any = field(default_factory=count)
    _waiting: queue.Queue[tuple[str, Callable[[], object]]] = field(
        default_factory=lambda: queue.Queue(QUEUED)
    )
    _lost: set[str] = field(default_factory=set)
    _quiet_until: float = 0.0
    """The API server wants patience (Retry-After): until then nothing is asked of it."""

    def start(self) -> None:
        """Send from now on, in a thread of its own."""
        threading.Thread(target=self._send_for_ever, name="events", daemon=True).start()

    def allowed(self, namespace: str, verb: str = "create") -> bool:
        """Whether Events of that namespace may be written."""
        return self.rights(namespace).allow(verb, TOLD_EVENTS.plural, group=TOLD_EVENTS.group)

    def write(self, notice: Notification) -> str:
        """Have an Event created; return its name, "" where that is not possible now."""
        if self.about is None or not self.allowed(self._namespace):
            return ""
        regarding = _reference(self.about)
        stem = regarding["name"][:LONGEST_STEM].rstrip("-.")
        name = f"{stem}.{int(notice.at.timestamp() * 1_000_000):x}.{next(self._numbers)}"
        manifest = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding["namespace"]},
            "eventTime": _micro(notice.at),
            "type": "Warning" if notice.warning else "Normal",
            "reason": notice.reason,
            "note": shortened(notice.note),
            "action": "Reconcile",
            "regarding": regarding,
            "reportingController": CONTROLLER,
            "reportingInstance": (self.me or "kip")[:INSTANCE_LENGTH],
        }
        place = self._namespace
        sent = self._queue(
            name, lambda: self.cluster.create(TOLD_EVENTS, place, manifest), warning=notice.warning
        )
        return name if sent else ""

    def write_again(self, name: str, number: int, at: datetime) -> bool:
        """Say that what the Event of this name tells lasts: it was seen `number` times, the last time now."""
        if self.about is None or not self.allowed(self._namespace, "patch"):
            return False
        series = {"count": number, "lastObservedTime": _micro(at)}
        operations = [{"op": "add", "path": "/series", "value": series}]
        place = self._namespace
        return self._queue(
            name, lambda: self.cluster.patch(TOLD_EVENTS, place, name, operations), warning=True
        )

    def lost(self, name: str) -> bool:
        """Whether the API server did not take the Event of this name."""
        return name in self._lost

    def send_waiting(self) -> None:
        """Send what waits."""
        while True:
            try:
                self._send(*self._waiting.get_nowait())
            except queue.Empty:
                return

    def _send_for_ever(self) -> None:
        while True:
            self._send(*self._waiting.get())

    def _send(self, name: str, send: Callable[[], object]) -> None:
        if self.clock() < self._quiet_until:
            self._lose(name)
            return
        try:
            send()
        except ApiError as error:
            if not self._failing:
                log.warning("event_not_written", error=str(error))
            self._failing = True
            self._quiet_until = self.clock() + (error.retry_after or 0.0)
            self._lose(name)
        else:
            self._failing = False

    def _lose(self, name: str) -> None:
        if len(self._lost) < LOST_KEPT:
            self._lost.add(name)

    def _queue(self, name: str, send: Callable[[], object], *, warning: bool) -> bool:
        if not self._takes_token(0.0 if warning else RESERVE):
            return False
        try:
            self._waiting.put_nowait((name, send))
        except queue.Full:
            return False
        return True

    @property
    def _namespace(self) -> str:
        return str(self.about["metadata"]["namespace"]) if self.about else ""

    def _takes_token(self, reserve: float) -> bool:
        now = self.clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) / REFILL_SECONDS)
        self._filled = now
        if self._tokens < 1 + reserve:
            return False
        self._tokens -= 1
        return True


def shortened(note: str) -> str:
    """Return a note that the API server takes: of at most 1,024 bytes."""
    encoded = note.encode()
    if len(encoded) <= NOTE_BYTES:
        return note
    return encoded[: NOTE_BYTES - 3].decode(errors="ignore") + "..."


def _reference(found: Manifest) -> dict[str, str]:
    metadata = found["metadata"]
    return {
        "apiVersion": found.get("apiVersion") or "apps/v1",
        "kind": found.get("kind") or "DaemonSet",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _micro(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
