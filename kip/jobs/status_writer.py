"""The status of one job, written not more often than people can read it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kip.cluster.api import Cluster
from kip.errors import Conflict, NotFound
from kip.jobs.job_object import JobObject

Manifest = dict[str, Any]

PAUSE_SECONDS = 1.0
"""A status is written once in so many seconds at most; the one that says that a job is over, at once."""


@dataclass(slots=True)
class StatusWriter:
    """Writes the status of `found`. `clock` is monotonic seconds."""

    cluster: Cluster
    found: JobObject
    clock: Callable[[], float]
    _sent: Manifest | None = field(default=None)
    _sent_at: float = float("-inf")

    @property
    def latest(self) -> Manifest:
        """Return the status as it stands, as far as is known."""
        return self.found.status if self._sent is None else self._sent

    def write(self, status: Manifest, *, urgent: bool) -> float | None:
        """Write it, if that is due and it is news; return the seconds until it is due, None for done.

        Raises ApiError.
        """
        if status == self.latest:
            return None
        wait = self._sent_at + PAUSE_SECONDS - self.clock()
        if wait > 0 and not urgent:
            return wait
        self._put(status)
        self._sent, self._sent_at = status, self.clock()
        return None

    def _put(self, status: Manifest) -> None:
        found = self.found
        manifest = dict(found.manifest)
        for last in (False, True):
            manifest |= {
                "apiVersion": found.owner["apiVersion"],
                "kind": found.resource.kind,
                "status": status,
            }
            try:
                self.cluster.update_status(found.resource, found.namespace, found.name, manifest)
            except NotFound:
                return  # it is gone, and nobody asks
            except Conflict:
                # An edit, or our own last write that the watch has not told yet.
                newer = self.cluster.get(found.resource, found.namespace, found.name)
                if newer is None or newer["metadata"]["uid"] != found.uid:
                    return
                if last:
                    raise
                manifest = newer
            else:
                return
