"""What is shown of a cache: written by the loop, read by the page. Values are published by one assignment."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kip import __version__
from kip.core.status.jobs_view import JobsView
from kip.core.status.matrix import Matrix
from kip.core.status.notifications import Notification
from kip.core.status.page_document import page_document, shown

NOTICES_KEPT = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the last look at a cache has found: the page's document of it, or why nothing is known."""

    matrix: dict[str, Any] | None = None
    unknown: str = ""
    at: float | None = None


@dataclass(slots=True)
class PageState:
    """The last look at a cache, and what happened lately. `clock` is monotonic seconds.

    Of a matrix only its document is kept, a fortieth of its size. `problems` says by name what is wrong
    besides; `keeps_history` is False where nobody notes what happens.
    """

    clock: Callable[[], float]
    problems: Callable[[], Mapping[str, str]] = dict
    keeps_history: bool = True
    history: tuple[Notification, ...] = ()
    jobs: tuple[JobsView, ...] = ()
    _look: Snapshot = Snapshot(unknown="the cache was not looked at yet")
    _encoded: tuple[dict[str, Any], bytes] | None = None

    def show(self, matrix: Matrix) -> None:
        """Show what a look has found."""
        document, before = page_document(matrix), self._look.matrix
        # What is the same stays the same object: to compare it when it is asked for costs nothing.
        self._look = Snapshot(before if document == before else document, at=self.clock())

    def hide(self, why: str) -> None:
        """Say that nothing is known of the images now, and why."""
        self._look = Snapshot(unknown=why, at=self.clock())

    def note(self, notice: Notification) -> None:
        """Add to the history, which keeps the last NOTICES_KEPT."""
        self.history = (*self.history[1 - NOTICES_KEPT :], notice)

    def show_jobs(self, jobs: tuple[JobsView, ...]) -> None:
        """Show these pull jobs, and no others."""
        self.jobs = jobs

    @property
    def age(self) -> float | None:
        """Return how many seconds ago the cache was looked at, None if it never was."""
        looked = self._look.at
        return None if looked is None else self.clock() - looked

    def document(self) -> dict[str, Any]:
        """Return all that the page shows, as plain values; the newest of the history comes first."""
        look = self._look
        told = [
            {
                "at": notice.at.isoformat(timespec="seconds"),
                "reason": notice.reason,
                "note": shown(notice.note),
                "warning": notice.warning,
            }
            for notice in reversed(self.history)
        ]
        return {
            "version": __version__,
            "problems": {name: shown(problem) for name, problem in self.problems().items()},
            "unknown": shown(look.unknown),
            "history": told if self.keeps_history else None,
            "jobs": [_job(job) for job in self.jobs],
            "matrix": look.matrix,
        }

    def encoded(self) -> bytes:
        """Return the document as JSON; the same object as long as nothing has changed."""
        document, before = self.document(), self._encoded
        if before and document == before[0]:
            return before[1]
        # In ASCII: no text, however broken, fails to be encoded.
        encoded = json.dumps(document, separators=(",", ":")).encode("ascii")
        self._encoded = document, encoded
        return encoded


def _job(job: JobsView) -> dict[str, Any]:
    return asdict(job) | {
        "message": shown(job.message),
        "failures": [shown(failure) for failure in job.failures],
    }
