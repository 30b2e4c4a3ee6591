"""What a keeper tells of itself in metrics, and the survey of its images for metrics and page.

A survey lists all cache pods, so it is made only when it may have news, and not more often than it is cheap.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from kip.cluster.api import Cluster
from kip.cluster.list_pacing import pause_after
from kip.cluster.reads import read_images
from kip.core.rights import Rights
from kip.core.rollout.differences import differences
from kip.core.rollout.plan_types import WRITES, Action, PlannedStep
from kip.core.rollout.progress import Progress
from kip.errors import InternalError, KipError, SettingsError
from kip.keeper.condition_events import ConditionEvents
from kip.keeper.reconcile import Outcome
from kip.keeper.settings_source import SettingsSource
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState

Manifest = dict[str, Any]

PAUSE_SECONDS = 5.0
"""The shortest pause after a survey."""

log = structlog.get_logger()


@dataclass(slots=True)
class ImageScan:
    """Sees in which state the images are.

    Where it is neither `served` nor told in Events nobody would see it, and none is made.
    """

    metrics: Metrics
    board: PageState
    telling: ConditionEvents
    cluster: Cluster
    rights: Callable[[str], Rights]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    served: bool = True
    between: Callable[[], None] = lambda: None
    """Called now and then during a look, which takes a while where there are thousands of pods."""

    _seen: tuple[str, int, Progress | None] | None = None
    _complete: bool = False
    _made_at: float = 0.0
    _not_before: float = 0.0

    def after(self, outcome: Outcome) -> float | None:
        """Look at the cache pods if that is worth it; return in how many seconds it should be tried again."""
        found = outcome.daemonset
        if why := self._hindrance(outcome):
            self.forget(why)
            return None
        if found is None or outcome.plan.steps:
            return None  # the loop looks again at once
        now = self.clock()
        key = found["metadata"]["uid"], found["metadata"].get("generation", 0), outcome.progress
        old = now - self._made_at >= outcome.settings.caching_interval.total_seconds()
        if key == self._seen and self._complete and not old:
            return None
        if now < self._not_before:
            return self._not_before - now
        self._look(found)
        self._seen = key
        return None if self._complete else self._not_before - self.clock()

    def forget(self, why: str) -> None:
        """Say that nothing is known, and why: another keeper may know, or nobody."""
        self._seen = None
        self.metrics.surveyed(None)
        self.board.hide(why)

    def _hindrance(self, outcome: Outcome) -> str:
        if outcome.daemonset is None:
            return "there is no cache yet"
        namespace = outcome.settings.namespace
        if not self.served and not self.telling.events.allowed(namespace):
            return "nobody would see it"
        if self.rights(namespace).allow("list", "pods"):
            return ""
        return f"the keeper may not list pods: grant get and list on pods in namespace {namespace}"

    def _look(self, found: Manifest) -> None:
        started = self.clock()
        self._complete = False
        try:
            matrix = read_images(self.cluster, found, self.now(), between=self.between)
        except KipError as error:
            self.metrics.surveyed(None)
            self.board.hide(f"the cache pods cannot be listed: {error}")
            log.warning("survey_failed", error=str(error))
        else:
            self.metrics.surveyed(matrix)
            if self.served:
                self.board.show(matrix)
            self.telling.surveyed(matrix)
            # While new pods come up the controller's counts say nothing of how they fare: the next look does.
            settled = matrix.progress.complete and not self.telling.unsettled
            self._complete = matrix.complete and settled
        self._made_at = self.clock()
        self._not_before = self._made_at + max(PAUSE_SECONDS, pause_after(self._made_at - started))


@dataclass(slots=True)
class Reporter:
    """Turns what the loop does into metrics, and has it told.

    `now` is wall time, `clock` monotonic seconds.
    """

    metrics: Metrics
    survey: ImageScan
    telling: ConditionEvents
    now: Callable[[], datetime]
    clock: Callable[[], float]
    _refused: bool = False
    _changed_at: float | None = None

    def settings_read(self, settings: SettingsSource) -> None:
        """Tell whether the newest settings can be used."""
        with _harmless():
            self.telling.settings_read(settings)
        self.metrics.settings_read(valid=not (settings.error or self._refused))
        self.metrics.entries_refused("keeper", len(settings.refused))
        if settings.in_force:
            self.metrics.interval_set(settings.in_force.caching_interval.total_seconds())

    def stood_by(self) -> None:
        """Tell that another keeper acts: what this one knew of the cache is no longer its to tell."""
        self._changed_at = None
        self.telling.stood_by()
        self.metrics.leads(leader=False)
        self.metrics.counted(None, complete=False)
        self.survey.forget("another keeper holds the lease; its page shows the images")

    def failed(self, error: KipError, seconds: float) -> None:
        """Tell of a reconcile that failed."""
        with _harmless():
            self.telling.failed(error)
        self.metrics.reconcile_failed(seconds)
        if isinstance(error, SettingsError):
            self._refused = True
            self.metrics.settings_read(valid=False)

    def done(self, outcome: Outcome, error: SettingsError | None, seconds: float) -> float | None:
        """Tell of a reconcile that went well; `error` is the fault of the newest settings, if any.

        Return in how many seconds there is something to tell again, None when a change will wake the loop.
        """
        self._refused = outcome.refusal is not None
        self.metrics.leads(leader=True)
        self.metrics.settings_read(valid=not (error or self._refused))
        self.metrics.entries_refused("api_server", len(outcome.left_out))
        written = "changed" if outcome.plan.steps else "unchanged"
        self.metrics.reconciled(written, seconds, self.now().timestamp())
        with _harmless():
            self.telling.done(outcome)
        self._tell_changes(outcome)
        self._tell_progress(outcome)
        return self._surveyed(outcome)

    def _tell_changes(self, outcome: Outcome) -> None:
        for step in outcome.plan.steps:
            if step.action is Action.WAIT:
                continue
            rolled = exchanges_pods(step, outcome.daemonset)
            self.metrics.changed(step.action.value, rolled=rolled, repaired=outcome.repaired)
        if self._changed_at is None and any(step.action in WRITES for step in outcome.plan.steps):
            self._changed_at = self.clock()

    def _tell_progress(self, outcome: Outcome) -> None:
        progress = outcome.progress
        if progress and outcome.plan.steps:
            progress = replace(progress, current=False)  # it is of what was there before
        complete = not outcome.lacking
        self.metrics.counted(progress, complete=complete)
        if complete and self._changed_at is not None:
            self.metrics.completed(self.clock() - self._changed_at)
            self._changed_at = None

    def _surveyed(self, outcome: Outcome) -> float | None:
        with _harmless():
            return self.survey.after(outcome)
        return None


@contextmanager
def _harmless() -> Iterator[None]:
    """Let nothing that is only told get in the way of the keeping of images."""
    try:
        yield
    except Exception as error:
        log.warning("reporting_failed", error=str(InternalError(error)), exc_info=True)


def exchanges_pods(step: PlannedStep, found: Manifest | None) -> bool:
    """Whether the step changes a cache that is there so that its pods are exchanged."""
    if found is None or step.action not in {Action.APPLY, Action.REPLACE}:
        return False
    return any(differences(step.spec["template"], found["spec"]["template"]))
