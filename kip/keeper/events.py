"""Notices as Events of Kubernetes, on the cache, the keeper's Deployment, or a pull job.

The form is events.k8s.io/v1: what lasts is one Event whose series counts, as nothing else of it may change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from kip.cluster.api import TOLD_EVENTS, Cluster
from kip.core.notices import Notice
from kip.core.rights import Rights
from kip.errors import ApiError

Manifest = dict[str, Any]

CONTROLLER = "kip.dev/keeper"
NOTE_BYTES = 1024
INSTANCE_LENGTH = 128
BURST = 20
REFILL_SECONDS = 30.0
"""So many Events may come at once, and one more each half minute: a cache that fares ill is no reason to
flood the cluster. What is not told so is still in the log, the status and the history of the page."""

log = structlog.get_logger()


@dataclass(slots=True)
class Events:
    """Writes Events as far as that is allowed; never raises an ApiError, as no image depends on it.

    `clock` is monotonic seconds, `me` the keeper's name. `about` is the object that they are on; None: nobody
    would find them, and none is written.
    """

    cluster: Cluster
    rights: Callable[[str], Rights]
    clock: Callable[[], float]
    me: str
    about: Manifest | None = None
    _tokens: float = BURST
    _filled: float = 0.0
    _failing: bool = False

    def allowed(self, namespace: str, verb: str = "create") -> bool:
        """Whether Events of that namespace may be written."""
        return self.rights(namespace).allow(verb, TOLD_EVENTS.plural, group=TOLD_EVENTS.group)

    def write(self, notice: Notice) -> str:
        """Create an Event; return its name, "" where that was not possible."""
        if self.about is None or not self.allowed(self._namespace) or not self._takes_token():
            return ""
        regarding = _reference(self.about)
        manifest = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{regarding['name']}-", "namespace": regarding["namespace"]},
            "eventTime": _micro(notice.at),
            "type": "Warning" if notice.warning else "Normal",
            "reason": notice.reason,
            "note": shortened(notice.note),
            "action": "Reconcile",
            "regarding": regarding,
            "reportingController": CONTROLLER,
            "reportingInstance": (self.me or "kip")[:INSTANCE_LENGTH],
        }
        return self._sent("create", lambda place: self.cluster.create(TOLD_EVENTS, place, manifest))

    def write_again(self, name: str, count: int, at: datetime) -> bool:
        """Say that what the Event of this name tells lasts: it was seen `count` times, the last time now."""
        if self.about is None or not self.allowed(self._namespace, "patch") or not self._takes_token():
            return False
        series = {"count": count, "lastObservedTime": _micro(at)}
        operations = [{"op": "add", "path": "/series", "value": series}]
        return bool(
            self._sent("patch", lambda place: self.cluster.patch(TOLD_EVENTS, place, name, operations))
        )

    def _sent(self, verb: str, send: Callable[[str], Manifest]) -> str:
        """Return the name of the Event that was written, "" where the API server did not take it."""
        try:
            name = str(send(self._namespace)["metadata"]["name"])
        except ApiError as error:
            if not self._failing:
                log.warning("event_not_written", verb=verb, error=str(error))
            self._failing = True
            return ""
        self._failing = False
        return name

    @property
    def _namespace(self) -> str:
        return str(self.about["metadata"]["namespace"]) if self.about else ""

    def _takes_token(self) -> bool:
        now = self.clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) / REFILL_SECONDS)
        self._filled = now
        if self._tokens < 1:
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
