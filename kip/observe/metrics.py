"""The metrics of one keeper, in a registry of its own. Its methods are named after what happens."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from kip import __version__
from kip.core.rollout.progress import Progress
from kip.core.status.cell import ImageState
from kip.core.status.jobs_view import JobsView, Phase
from kip.core.status.matrix import Matrix
from kip.observe import metric_table as table
from kip.observe.metric_table import Description, Kind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RECONCILE_OUTCOMES = ("changed", "unchanged", "failed")
JOB_OUTCOMES = ("complete", "failed")
REFRESH_OUTCOMES = ("moved", "unmoved", "unknown", "postponed")

# When a counter began is known to Prometheus; it would be a series more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Written by the loop, the client and the watches, each in its thread; read by whoever scrapes.

    What happens seldom, and is to be seen by `increase`, is 0 from the start: from the first time on it would
    be too late.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made = {description.name: self._make(description) for description in table.TABLE}
        self._images: frozenset[tuple[str, str]] = frozenset()
        self._of(table.BUILD_INFO, __version__).set(1)
        self._of(table.LAST_SUCCESS).set_to_current_time()
        for outcome in REFRESH_OUTCOMES:
            self._of(table.REFRESHES, outcome)
        for outcome in JOB_OUTCOMES:
            self._of(table.PULL_JOB_SECONDS, outcome)
        self.job_pulls(0, 0)
        for outcome in RECONCILE_OUTCOMES:
            self._of(table.RECONCILE_SECONDS, outcome)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def api_answered(self, verb: str, code: str) -> None:
        """Count a request to the API server; `code` is its HTTP status, or `none`."""
        self._of(table.API_REQUESTS, verb, code).inc()

    def watch_restarted(self, resource: str) -> None:
        """Count a watch that broke off."""
        self._of(table.WATCH_RESTARTS, resource).inc()

    def settings_read(self, *, valid: bool) -> None:
        """Say whether the newest settings are in force."""
        self._of(table.SETTINGS_VALID).set(valid)

    def entries_refused(self, by: str, count: int) -> None:
        """Say how many entries are left out by the `keeper`, or as the `api_server` refuses them."""
        self._of(table.ENTRIES_REFUSED, by).set(count)

    def interval_set(self, seconds: float) -> None:
        """Say how often a reconcile is due."""
        self._of(table.INTERVAL).set(seconds)

    def leads(self, *, leader: bool) -> None:
        """Say whether this keeper is the one to act."""
        self._of(table.LEADER).set(leader)

    def reconciled(self, outcome: str, seconds: float, at: float) -> None:
        """Note a reconcile that went well: `changed` or `unchanged`; `at` is wall time."""
        self._of(table.RECONCILE_SECONDS, outcome).observe(seconds)
        self._of(table.LAST_SUCCESS).set(at)

    def reconcile_failed(self, seconds: float) -> None:
        """Note a reconcile that failed."""
        self._of(table.RECONCILE_SECONDS, "failed").observe(seconds)

    def changed(self, action: str, *, rolled: bool, repaired: bool) -> None:
        """Count a change of a DaemonSet: whether its pods are exchanged, and whether it was a repair."""
        self._of(table.CHANGES, action).inc()
        self._of(table.ROLLS).inc(rolled)
        self._of(table.DRIFT_REPAIRS).inc(repaired)

    def pulled(self, name: str, seconds: float, size: int | None) -> None:
        """Note that a node pulled the image of this entry; `size` in bytes, None where nobody tells."""
        self._of(table.PULL_SECONDS, name).observe(seconds)
        self._of(table.PULLED_BYTES, name).inc(size or 0)

    def refresh_judged(self, outcome: str) -> None:
        """Count a due refresh, by one of REFRESH_OUTCOMES."""
        self._of(table.REFRESHES, outcome).inc()

    def counted(self, progress: Progress | None, *, complete: bool) -> None:
        """Say how far the cache is; None: there is none, or another keeper knows."""
        # Which of the updated are ready the controller does not tell: so many at least.
        there = progress.updated + progress.ready - progress.wanted if progress and progress.current else 0
        self._of(table.NODES_WANTED).set(progress.wanted if progress else 0)
        self._of(table.NODES_COMPLETE).set(max(there, 0))
        self._of(table.COMPLETE).set(complete)

    def completed(self, seconds: float) -> None:
        """Note that the cache is complete again, so long after it was changed."""
        self._of(table.COMPLETE_SECONDS).observe(seconds)

    def surveyed(self, matrix: Matrix | None) -> None:
        """Say in which state each image is on how many nodes; None: nobody knows."""
        counts = matrix.counts() if matrix else {}
        for (name, image), count in counts.items():
            for state in ImageState:
                self._of(table.CELLS, name, image, state.value).set(count[state])
        for name, image in self._images - counts.keys():
            for state in ImageState:
                self._made[table.CELLS.name].remove(name, image, state.value)
        # While nobody knows, what was counted stays.
        gone = {name for name, _ in self._images} - {name for name, _ in counts} if matrix else ()
        for name in gone:
            for description in (table.PULL_SECONDS, table.PULLED_BYTES):
                with suppress(KeyError):  # it was never pulled
                    self._made[description.name].remove(name)
        self._images = frozenset(counts)

    def jobs_seen(self, jobs: Iterable[JobsView], budget: int) -> None:
        """Say which pull jobs there are, and on how many nodes they may pull."""
        found = list(jobs)
        for phase in Phase:
            self._of(table.PULL_JOBS, phase.value).set(sum(job.phase is phase for job in found))
        self._of(table.PULL_JOB_NODES).set(sum(job.active for job in found))
        self._of(table.PULL_BUDGET).set(budget)

    def job_pulls(self, pulled: int, failed: int) -> None:
        """Count images on nodes that came there by pull jobs, or were given up."""
        self._of(table.PULL_JOB_PULLS, "pulled").inc(pulled)
        self._of(table.PULL_JOB_PULLS, "failed").inc(failed)

    def job_ended(self, outcome: str, seconds: float) -> None:
        """Note the end of a pull job, by one of JOB_OUTCOMES."""
        self._of(table.PULL_JOB_SECONDS, outcome).observe(seconds)

    def _of(self, description: Description, *labels: str) -> Any:
        made = self._made[description.name]
        return made.labels(*labels) if description.labels else made

    def _make(self, description: Description) -> Any:
        name, labels = description.name, tuple(description.labels)
        if description.kind is Kind.HISTOGRAM:
            return Histogram(
                name, description.meaning, labels, registry=self._registry, buckets=description.buckets
            )
        kind = Counter if description.kind is Kind.COUNTER else Gauge
        return kind(name, description.meaning, labels, registry=self._registry)
