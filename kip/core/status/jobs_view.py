"""A pull job as people are shown it: what of it the page and the metrics tell."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far a job is. `refused`: its spec cannot be run; `blocked`: something else is in the way."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    FAILED = "failed"
    REFUSED = "refused"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class JobsView:
    """One job. The counts are nodes; `failures` are lines for people, `image on nodes: reason: message`."""

    name: str
    namespace: str
    kind: str
    phase: Phase
    desired: int
    active: int
    succeeded: int
    failed: int
    message: str
    failures: tuple[str, ...] = ()
