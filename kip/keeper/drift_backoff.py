"""Somebody who changes the cache, or deletes nets, again and again, as often as kip puts it right.

Each repair is done at once; when they become many, kip lets the other have its way for a while, for longer
each time, and says who it is. Neither the API server nor the nodes are hammered.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from kip.config.settings import Settings
from kip.core.rollout.bridge import fingerprint_of, is_placeholder
from kip.core.rollout.ownership import last_writers
from kip.core.rollout.plan_types import WRITES, Action, PlannedStep

Manifest = dict[str, Any]

REPAIRS = 5
REMEMBERED = 8
"""Manifests: holders, the cache, and the cache at other paces."""

WINDOW_SECONDS = 60.0
PAUSES = (30.0, 60.0, 120.0, 300.0, 600.0)
CALM_SECONDS = 1800.0
"""After so long without a repair the next fight begins with the shortest pause again."""

log = structlog.get_logger()


@dataclass(slots=True)
class DriftBackoff:
    """Counts repairs of what kip had written. `clock` is monotonic seconds."""

    clock: Callable[[], float]
    _written: deque[Manifest] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _settings: Settings | None = None
    _nets: set[tuple[str, str]] = field(default_factory=set)
    """Namespaces and names of the nets that were spread, and not retired since."""
    _repairs: deque[float] = field(default_factory=deque)
    _pauses: int = 0
    _until: float = 0.0

    def held_back(self, step: PlannedStep, found: Manifest | None) -> str:
        """Return why this step is not to be done now, "" if it is. A repair is counted and told."""
        if not self.is_repair(step, found):
            return ""
        changed = found if step.action is not Action.SPREAD else None
        now, who = self.clock(), ", ".join(last_writers(changed)) if changed else "somebody"
        if now < self._until:
            return f"{who} changes it again and again: it is left alone for {self._until - now:.0f} s"
        if self._repairs and now - self._repairs[-1] > CALM_SECONDS:
            self._pauses = 0
        self._repairs.append(now)
        while now - self._repairs[0] > WINDOW_SECONDS:
            self._repairs.popleft()
        if len(self._repairs) <= REPAIRS:
            log.warning("drift_detected", by=who, reasons=list(step.reasons))
            return ""
        pause = PAUSES[min(self._pauses, len(PAUSES) - 1)]
        self._pauses += 1
        self._until = now + pause
        log.error(
            "fight_detected",
            by=who,
            changes_per_minute=len(self._repairs),
            reasons=list(step.reasons),
            pause_s=pause,
            remedy="Stop it from changing the DaemonSet, or give kip another DAEMONSET_NAME.",
        )
        self._repairs.clear()
        self._repairs.append(now)
        return f"{who} changes it again and again: it is left alone for {pause:.0f} s"

    def is_repair(self, step: PlannedStep, found: Manifest | None) -> bool:
        """Whether the step only brings back the cache (as it is `found`), or a net, as kip had written it."""
        if step.action is Action.SPREAD:
            return (step.namespace, step.name) in self._nets
        if step.action not in WRITES or step.manifest not in self._written:
            return False
        return step.manifest == self._written[-1] or not self._goes_on(step, found)

    def asked(self, settings: Settings) -> None:
        """Note what is asked for: who takes an edit of the settings back asks for no repair."""
        if settings != self._settings:
            while len(self._written) > 1:
                self._written.popleft()
        self._settings = settings

    def wrote(self, step: PlannedStep) -> None:
        """Note that the cache, or a net, was written as this step says."""
        if step.action in WRITES:
            self._written.append(step.manifest)
        elif step.action is Action.SPREAD:
            self._nets.add((step.namespace, step.name))
        elif step.action is Action.RETIRE:
            self._nets.discard((step.namespace, step.name))

    def _goes_on(self, step: PlannedStep, found: Manifest | None) -> bool:
        """Whether the cache is as kip had written it last, and comes to its next stage or another pace."""
        last = self._written[-1]
        if found is None or fingerprint_of(found) != fingerprint_of(last):
            return False
        return is_placeholder(last) or fingerprint_of(step.manifest) == fingerprint_of(last)
