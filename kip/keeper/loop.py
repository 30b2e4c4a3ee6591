"""The keeper's loop: wait for a reason, reconcile, report, and go on whatever happens."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import structlog
from schedule import CancelJob, Scheduler

from kip.cluster.api import CONFIGMAPS, DAEMONSETS, EVENTS, Selection
from kip.cluster.backoff import backoff
from kip.cluster.list_pacing import pause_after
from kip.config.settings import ReadyWhen, Settings
from kip.core.rollout.plan_types import Plan
from kip.core.rollout.progress import Progress
from kip.core.status.kubernetes_events import PULLS
from kip.errors import ApiError, InternalError, KipError
from kip.keeper.lease import Leadership
from kip.keeper.reconcile import Outcome, Reconciler
from kip.keeper.reporter import Reporter
from kip.keeper.settings_source import SettingsSource
from kip.keeper.triggers import Triggers, Watches
from kip.observe.health import Health

TICK_SECONDS = 5.0
"""The loop goes round at least so often, mostly without a request to the API server."""

LOOK_AGAIN_SECONDS = 1.0
LOOK_AGAIN_AT_LEAST_SECONDS = 30.0
COUNTS = frozenset({"daemonset_changed"})
"""Mostly only counts in the status, which thousands of nodes change many times a second."""

REFUSED_SECONDS = 60.0
"""Settings that the API server refuses are tried again so often: the fault may have been a policy's."""

EAGER_SECONDS = 5.0
"""After a failure a change is looked at before its retry, as it may be the cure; but only so often."""

log = structlog.get_logger()


@dataclass(slots=True)
class Loop:
    """Everything that one keeper does, one thing at a time.

    `now` is wall time, `clock` monotonic seconds.
    """

    settings: SettingsSource
    reconciler: Reconciler
    leadership: Leadership
    triggers: Triggers
    watches: Watches
    health: Health
    measures: Reporter
    now: Callable[[], datetime]
    clock: Callable[[], float]
    random: Random
    timers: Scheduler = field(default_factory=Scheduler)
    _failures: int = 0
    _waiting: set[str] = field(default_factory=set)
    _held_until: float = 0.0
    _sated_until: float = 0.0
    _interval: float = 0.0
    _lead: float = 0.0
    _refresh_at: datetime | None = None
    _progress: Progress | None = None
    _refusal: str = ""
    _pending: str = ""
    _pending_since: float = 0.0

    def run(self) -> None:
        """Go round for ever; only an exception raised by a signal handler ends it."""
        self.triggers.wake("start")
        while True:
            self.health.tick()
            self._check_clock()
            self.timers.run_pending()
            self._keep_lease()
            self._waiting.update(self.triggers.wait(self._pause()))
            if self._waiting and self.clock() >= self._not_before():
                reasons = tuple(sorted(self._waiting))
                self._waiting.clear()
                self.once(reasons)
            elif self._refresh_at and not self._failures and self.now() >= self._refresh_at:
                self.triggers.wake("refresh")

    def _check_clock(self) -> None:
        """Set all timers anew when the wall clock was set, as they go by it: none is to be late by that."""
        lead = self.now().timestamp() - self.clock()
        if abs(lead - self._lead) > TICK_SECONDS and self._lead:
            log.warning("clock_jumped", by_s=round(lead - self._lead, 1))
            self.timers.clear()
            self._interval = 0.0
            self.triggers.wake("clock_jumped")
            if self._failures:
                self._wake_in(self._held_until - self.clock(), "retry")
        self._lead = lead

    def _not_before(self) -> float:
        """Return when what waits may be looked at: not at once after a failure, or a dear look."""
        if "retry" in self._waiting:
            return 0.0
        return max(self._held_until, self._sated_until if self._waiting <= COUNTS else 0.0)

    def _pause(self) -> float:
        """Return how long to wait for a reason: not beyond the next timer, nor the end of a back-off."""
        idle = self.timers.idle_seconds
        pauses = [TICK_SECONDS] if idle is None else [TICK_SECONDS, idle]
        return min([*pauses, self._not_before() - self.clock()] if self._waiting else pauses)

    def once(self, reasons: tuple[str, ...]) -> None:
        """Reconcile once. An error is reported and retried later; none ends the keeping of images."""
        started = self.clock()
        report = log.bind(trigger=list(reasons))
        try:
            if {"interval", "refused"} & set(reasons):
                self.settings.look_again()
                self.reconciler.forget()
            settings = self.settings.refresh()
            self.watches.follow(self._selections(settings))
            self.health.settings_problem = str(self.settings.error or "").replace("\n", "; ")
            self.measures.settings_read(self.settings)
            if settings is None:
                # There is no interval yet, and a ConfigMap that may not be read is not watched.
                self._wake_in(REFUSED_SECONDS, "refused")
                return
            self._schedule(settings)
            self.leadership.follow(settings.namespace, settings.daemonset_name, settings.deployment_name)
            if not self.leadership.hold():
                self._stand_by(report, started)
                return
            outcome = self.reconciler.reconcile(settings, self.leadership)
        except KipError as error:
            self._failed(error, report, started)
            return
        except Exception as error:  # noqa: BLE001 - the outermost frame: a fault is told, and tried again
            report.warning("fault", exc_info=True)
            self._failed(InternalError(error), report, started)
            return
        self._failures, self._held_until = 0, 0.0
        self.health.reconcile_problem = self.health.standby = ""
        waits = outcome.settings.ready_when is ReadyWhen.COMPLETE and outcome.lacking
        self.health.cache_problem = f"READY_WHEN=complete, and {outcome.lacking}" if waits else ""
        self._refresh_at = outcome.refresh_at
        self._tell_refusal(outcome)
        self._report(outcome, report, started)
        duration = self.clock() - started
        self._look_again(outcome.plan, duration)
        again = self.measures.done(outcome, self.settings.error, duration)
        if again is not None:
            self._wake_in(again, "survey")

    def keep_alive(self) -> None:
        """Do in the middle of something long what must not wait for its end."""
        self.health.tick()
        self._keep_lease()

    def _keep_lease(self) -> None:
        """Renew the lease, or look whether it is free, when that is due; a change of hands wakes the loop."""
        before = self.leadership.holding
        if self.leadership.hold() != before:
            self.triggers.wake("lease")

    def _stand_by(self, report: structlog.BoundLogger, started: float) -> None:
        """Leave the cache to the keeper that holds the lease; it is an error only if that cannot be known."""
        self._refresh_at = self._progress = None
        if error := self.leadership.error:
            self._failed(error, report, started)
            return
        self._failures, self._held_until = 0, 0.0
        self.health.reconcile_problem = self.health.cache_problem = ""
        self.measures.stood_by()
        self.health.standby = f"standby: {self.leadership.holder or 'another keeper'} holds the lease"

    def _selections(self, settings: Settings | None) -> Iterator[Selection]:
        if self.settings.configmap:
            namespace, name = self.settings.configmap
            yield Selection(CONFIGMAPS, namespace, name)
        if settings:
            # All of them where that is allowed: nets and caches of earlier names are waited for as well.
            rights = self.reconciler.rights(settings.namespace)
            everything = rights.allow("watch", "daemonsets", group="apps")
            yield Selection(DAEMONSETS, settings.namespace, "" if everything else settings.daemonset_name)
            # Only the one that acts counts pulls, and only where somebody can ask for them.
            tells = settings.http_address and self.leadership.holding
            if tells and all(rights.allow(verb, "events") for verb in ("list", "watch")):
                yield Selection(EVENTS, settings.namespace, fields=PULLS)

    def _schedule(self, settings: Settings) -> None:
        """Set the backstop: a look at everything each interval, in case a watch missed something."""
        seconds = settings.caching_interval.total_seconds()
        if seconds != self._interval:
            self._interval = seconds
            self.timers.clear()
            self.timers.every(max(1, round(seconds))).seconds.do(self.triggers.wake, "interval")

    def _failed(self, error: KipError, report: structlog.BoundLogger, started: float) -> None:
        seconds = backoff(error, self._failures, self.random)
        self._failures += 1
        self.health.reconcile_problem = str(error)
        self.measures.failed(error, self.clock() - started)
        self.reconciler.forget()
        self._wake_in(seconds, "retry")
        # What the server asks for holds whatever comes.
        asked = isinstance(error, ApiError) and error.retry_after
        self._held_until = self.clock() + (seconds if asked else min(seconds, EAGER_SECONDS))
        report.error(
            "reconcile_failed",
            error=type(error).__name__,
            message=str(error),
            remedy=error.hint or None,
            failures=self._failures,
            retry_in_s=round(seconds, 1),
            duration_s=round(self.clock() - started, 3),
        )

    def _look_again(self, plan: Plan, duration: float) -> None:
        """Look again soon while something goes on; less often the longer it takes, and the dearer it is."""
        now, share = self.clock(), pause_after(duration)
        self._sated_until = 0.0
        if plan.pending != self._pending:
            self._pending, self._pending_since = plan.pending, now
        if plan.steps or plan.pending or plan.incomplete:
            waiting = 0.0 if plan.steps else now - self._pending_since
            pause = min(max(LOOK_AGAIN_SECONDS, waiting / 10), LOOK_AGAIN_AT_LEAST_SECONDS)
            self._wake_in(max(pause, share), "progress")
            self._sated_until = now if plan.steps else now + share

    def _wake_in(self, seconds: float, reason: str) -> None:
        """Wake once, in whole seconds; a reason that waits already is put off."""
        self.timers.clear(reason)
        self.timers.every(max(1, math.ceil(seconds))).seconds.do(self._wake, reason).tag(reason)

    def _wake(self, reason: str) -> type[CancelJob]:
        self.triggers.wake(reason)
        return CancelJob

    def _tell_refusal(self, outcome: Outcome) -> None:
        """Say once that the API server refuses the newest settings, while the last good ones are in force."""
        text = str(outcome.refusal or "")
        if outcome.refusal and text != self._refusal:
            log.warning(
                "settings_refused",
                problems=[str(problem) for problem in outcome.refusal.problems],
                in_force="the last good settings",
            )
        self._refusal = text
        if text:
            self._wake_in(REFUSED_SECONDS, "refused")
            self.health.settings_problem = text.replace("\n", "; ")

    def _report(self, outcome: Outcome, report: structlog.BoundLogger, started: float) -> None:
        progress, plan = outcome.progress, outcome.plan
        news = bool(plan.steps) or progress != self._progress or self._pending != plan.pending
        self._progress = progress
        counts = (
            {
                "state": progress.state,
                "nodes": progress.wanted,
                "ready": progress.ready,
                "updated": progress.updated,
            }
            if progress
            else {}
        )
        write = report.info if news else report.debug
        write(
            "reconcile_done",
            plan=plan.summary,
            reasons=[reason for step in plan.steps for reason in step.reasons] or None,
            pending=plan.pending or None,
            outcome="changed" if plan.steps else "unchanged",
            **counts,
            duration_s=round(self.clock() - started, 3),
        )
