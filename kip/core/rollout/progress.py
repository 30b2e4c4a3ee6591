"""How far the cache is, read from the DaemonSet's own status."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of nodes.

    `current` is False while the controller has not yet seen the newest template: then the counts speak of an
    older one and prove nothing. `misplaced` nodes have a pod and are selected no more.
    """

    wanted: int
    updated: int
    ready: int
    current: bool
    misplaced: int = 0

    @property
    def expected(self) -> int:
        """Return how many nodes have a pod once none is missing."""
        return self.wanted + self.misplaced

    @property
    def complete(self) -> bool:
        """Whether every selected node runs the newest template with all its containers ready."""
        return self.current and 0 < self.wanted == self.updated == self.ready

    @property
    def state(self) -> str:
        """Return `complete`, `filling`, `counting` or `no matching nodes`."""
        if not self.current:
            return "counting"
        if not self.wanted:
            return "no matching nodes"
        return "complete" if self.complete else "filling"


def read_progress(daemonset: dict[str, Any]) -> Progress:
    """Read a DaemonSet's status."""
    status = daemonset.get("status") or {}
    return Progress(
        wanted=status.get("desiredNumberScheduled", 0),
        updated=status.get("updatedNumberScheduled", 0),
        ready=status.get("numberReady", 0),
        current=status.get("observedGeneration", 0) >= daemonset["metadata"].get("generation", 0),
        misplaced=status.get("numberMisscheduled", 0),
    )
