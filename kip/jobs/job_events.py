"""What is told of jobs as Events of Kubernetes, with the reasons that OpenKruise has for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kip.cluster.event_recorder import EventRecorder
from kip.core.status.notifications import Notification
from kip.jobs.job_object import JobObject
from kip.jobs.job_status import JobFailure
from kip.pulljob.planner import JobPlan

SUCCEED, FAILED = "PullImageSucceed", "PullImageFailed"
MOST_TOLD = 10
"""Failures of one job that are told one by one; all of them are counted when it ends."""


@dataclass(slots=True)
class JobEvents:
    """Tells of failures when they come up, and of ends. `now` is wall time."""

    events: EventRecorder
    now: Callable[[], datetime]
    _told: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def failed(self, found: JobObject, failures: tuple[JobFailure, ...]) -> None:
        """Tell of failures of a job that were not told yet, by this keeper or the one before it."""
        if not failures:
            return
        before = found.status.get("failures") or ()
        told = self._told.setdefault(found.uid, {(one.get("image"), one.get("reason")) for one in before})
        for failure in failures:
            key = (failure.image, failure.reason)
            if key not in told and len(told) < MOST_TOLD:
                told.add(key)
                self._write(found, FAILED, f"Image {failure.line}", warning=True)

    def ended(self, found: JobObject, step: JobPlan, failures: tuple[JobFailure, ...]) -> None:
        """Tell how a job ended."""
        status = step.status
        images = (
            f"Image {status.images[0].image}" if len(status.images) == 1 else f"{len(status.images)} images"
        )
        seconds = ((status.finished or status.started) - status.started).total_seconds()
        if status.failed:
            why = "; ".join(failure.line for failure in failures[:3])
            note = f"{images} failed on {status.failed} of {status.desired} nodes: {status.message}; {why}"
            self._write(found, FAILED, note, warning=True)
        else:
            note = f"{images} pulled on {status.desired} nodes in {seconds:.0f} s"
            self._write(found, SUCCEED, note if status.desired else f"{images}: {status.message}")

    def forget(self, uid: str) -> None:
        """Forget a job that is gone, or begins again."""
        self._told.pop(uid, None)

    def _write(self, found: JobObject, reason: str, note: str, *, warning: bool = False) -> None:
        about: dict[str, Any] = {**found.owner, "metadata": dict(found.manifest["metadata"])}
        self.events.about = about
        self.events.write(Notification(self.now(), reason, note, warning))
