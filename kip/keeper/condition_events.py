"""What a keeper tells people of its cache, once each: what begins, what is over, what was changed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from kip.cluster.event_recorder import EventRecorder
from kip.core.rollout.plan_types import WRITES
from kip.core.status.matrix import Matrix
from kip.core.status.notifications import (
    Condition,
    Notification,
    conditions_of,
    entry_refused,
    foreign_daemonset,
    reconcile_failed,
    settings_refused,
)
from kip.core.status.problems import image_problems
from kip.errors import (
    Conflict,
    KipError,
    OwnershipError,
    ServerError,
    SettingsError,
    TooManyRequests,
    Unreachable,
)
from kip.keeper.reconcile import Outcome
from kip.keeper.settings_source import SettingsSource
from kip.redact import redacted

Manifest = dict[str, Any]

PASSING = (Unreachable, ServerError, TooManyRequests, Conflict)
"""Trouble of the API server: it is retried, and an Event could mostly not be written then."""

REMIND_SECONDS = 1800.0
"""What lasts is told again so often: Events are kept for an hour."""

NEWS_SECONDS = 300.0
"""So soon where its words have changed: the first look may have seen one node of many."""

TURN_SECONDS = 10.0
"""So soon where something else is to be done about it, and after twice the time at each further turn."""

STEADY_SECONDS = 4.0
"""A trouble of the cache is over when it was not seen for so long: a container that crashes again and again
runs for a moment each time."""


OF_SETTINGS = ("settings", "entries")
"""Of these a standby knows as well."""


@dataclass(slots=True)
class Reported:
    """A condition that was told. Times are monotonic seconds; `gone_at` is None while it lasts."""

    condition: Condition
    notice: Notification
    told_at: float
    event: str
    count: int = 1
    turn: float = TURN_SECONDS
    gone_at: float | None = None

    def is_news(self, condition: Condition, now: float) -> bool:
        """Whether the condition as it is now should be told anew."""
        pause = min(self.turn, REMIND_SECONDS) if self.has_turned(condition) else NEWS_SECONDS
        return condition.matter != self.condition.matter and now - self.told_at >= pause

    def has_turned(self, condition: Condition) -> bool:
        """Whether something else is to be done about it now."""
        return bool(condition.remedies - self.condition.remedies)


@dataclass(slots=True)
class ConditionEvents:
    """Tells of conditions and changes, as Events and to `noted`. `now` is wall time, `clock` monotonic.

    `home` reads the keeper's Deployment: it stands for the cache while there is none.
    """

    events: EventRecorder
    noted: Callable[[Notification], None]
    home: Callable[[], Manifest | None]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    _told: dict[tuple[str, ...], Reported] = field(default_factory=dict)
    _filling_since: float | None = None
    _first: bool = True

    @property
    def unsettled(self) -> bool:
        """Whether something may be over: another look will tell."""
        return any(told.gone_at is not None for told in self._told.values())

    def settings_read(self, settings: SettingsSource) -> None:
        """Tell whether the newest settings can be used, and which entries are left out."""
        problems = [settings_refused(str(settings.error))] if settings.error else []
        self._are("settings", problems)
        self._are("entries", map(entry_refused, settings.refused))

    def failed(self, error: KipError) -> None:
        """Tell that a reconcile failed."""
        if isinstance(error, SettingsError):
            self._are("refusal", [settings_refused(str(error))])
        elif isinstance(error, OwnershipError):
            self._are("reconcile", [foreign_daemonset(str(error), error.hint)])
        elif not isinstance(error, PASSING):
            self._are("reconcile", [reconcile_failed(str(error), error.hint)])

    def stood_by(self) -> None:
        """Forget what was told of the cache: another keeper knows, and tells."""
        self._told = {key: told for key, told in self._told.items() if key[0] in OF_SETTINGS}
        self._filling_since, self._first = None, True

    def done(self, outcome: Outcome) -> None:
        """Tell of a reconcile that went well."""
        self.events.about = outcome.daemonset or self.events.about
        self._are("refusal", [settings_refused(str(outcome.refusal))] if outcome.refusal else [])
        self._are("reconcile", [])
        self._are("left out", map(entry_refused, outcome.left_out))
        for step in outcome.plan.steps:
            if step.action in WRITES:
                what = "; ".join(step.reasons) or step.action.value
                self._tell("CacheRestored" if outcome.repaired else "CacheChanged", what)
                self._filling_since = self.clock()
        self._tell_completion(outcome)

    def surveyed(self, matrix: Matrix | None) -> None:
        """Tell what keeps images from their nodes; None: nobody knows, and what was told still holds."""
        if matrix is not None:
            self._are("cache", conditions_of(image_problems(matrix)), steady=STEADY_SECONDS)

    def _tell_completion(self, outcome: Outcome) -> None:
        # Nodes come and go: only what was changed, or found incomplete at the start, becomes complete.
        first, self._first = self._first, False
        if outcome.lacking:
            self._filling_since = self.clock() if first else self._filling_since
        elif self._filling_since is not None and outcome.progress:
            seconds = self.clock() - self._filling_since
            images, nodes = len(outcome.settings.images) - len(outcome.left_out), outcome.progress.wanted
            self._tell("CacheComplete", f"{images} images are on {nodes} nodes, after {seconds:.0f} s")
            self._filling_since = None

    def _are(self, source: str, found: Iterable[Condition], *, steady: float = 0.0) -> None:
        """Compare the conditions of one source with those that were told."""
        now, current = self.clock(), {(source, *condition.key): condition for condition in found}
        for key, condition in current.items():
            told = self._told.get(key)
            if told is None or (condition.exact and condition != told.condition):
                self._told[key] = self._begin(condition, now)
            else:
                self._goes_on(key, told, condition, now)
        for key in [key for key in self._told if key[0] == source and key not in current]:
            told = self._told[key]
            told.gone_at = now if told.gone_at is None else told.gone_at
            if now - told.gone_at >= steady:
                del self._told[key]
                if told.condition.over:
                    self._tell(told.condition.over, f"over: {told.condition.note}")

    def _begin(self, condition: Condition, now: float) -> Reported:
        notice = Notification(self.now(), condition.reason, redacted(condition.note), warning=True)
        return Reported(condition, notice, now, self._send(notice))

    def _goes_on(self, key: tuple[str, ...], told: Reported, condition: Condition, now: float) -> None:
        """Tell what lasts again: by its Event's series, or, where its words have changed, anew."""
        told.gone_at = None
        if told.is_news(condition, now):
            turn = 2 * told.turn if told.has_turned(condition) else told.turn
            self._told[key] = replace(self._begin(condition, now), turn=turn)
        elif not told.event or self.events.lost(told.event):
            told.event = self.events.write(told.notice)
        elif now - told.told_at >= REMIND_SECONDS and self.events.write_again(
            told.event, told.count + 1, self.now()
        ):
            told.told_at, told.count = now, told.count + 1

    def _tell(self, reason: str, note: str) -> None:
        self._send(Notification(self.now(), reason, redacted(note)))

    def _send(self, notice: Notification) -> str:
        self.noted(notice)
        if self.events.about is None:
            self.events.about = self.home()
        return self.events.write(notice)
