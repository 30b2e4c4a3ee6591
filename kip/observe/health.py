"""What the probes tell: whether the loop is alive, and whether it does its work."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One named check: `problem` is empty when it passes. `note` is what else there is to say then."""

    name: str
    problem: str = ""
    note: str = ""


@dataclass(slots=True)
class Health:
    """Written by the loop, read by the probes. Times are of `clock`, monotonic seconds.

    Images that cannot be pulled never make the keeper unhealthy: a restart would not cure them.
    """

    clock: Callable[[], float]
    tick_limit: float
    ticked: float
    settings_problem: str = "not read yet"
    reconcile_problem: str = "not done yet"
    standby: str = ""
    """Why there is nothing to reconcile: another keeper does it. That is no fault, and a rollout goes on."""

    cache_problem: str = ""
    """Only for READY_WHEN=complete; else an image that is not there yet is no fault of the keeper."""

    jobs_note: str = ""
    """How it is with pull jobs, where there is something to say; they never make the keeper unready."""

    def tick(self) -> None:
        """Say that the loop goes round."""
        self.ticked = self.clock()

    def live(self) -> tuple[HealthCheck, ...]:
        """Return the checks whose failure calls for a restart."""
        age = self.clock() - self.ticked
        stuck = (
            f"last went round {age:.0f} s ago, limit {self.tick_limit:.0f} s" if age > self.tick_limit else ""
        )
        return (HealthCheck("loop", stuck),)

    def ready(self) -> tuple[HealthCheck, ...]:
        """Return the checks whose failure says that the keeper does not do its work now."""
        return (
            HealthCheck("settings", self.settings_problem),
            HealthCheck("reconcile", self.reconcile_problem, note=self.standby),
            *([HealthCheck("cache", self.cache_problem)] if self.cache_problem else []),
            *([HealthCheck("pull jobs", note=self.jobs_note)] if self.jobs_note else []),
        )

    def problems(self) -> dict[str, str]:
        """Return by name the problems of the checks that fail."""
        checks = (*self.live(), *self.ready())
        return {check.name: check.problem for check in checks if check.problem}
