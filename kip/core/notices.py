"""What is worth telling people of a cache, once: as Events of the cluster, and as the history on the page."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened, for people.

    `reason` is one CamelCase word as in Kubernetes' Events; `note` a sentence; `at` wall time, UTC. `warning`
    says that somebody should look at it.
    """

    at: datetime
    reason: str
    note: str
    warning: bool = False
