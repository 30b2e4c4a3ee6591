"""The patience of `kip wait`: look, judge, pause, until it is decided or the time is up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from kip.cluster.api import DAEMONSETS, Cluster, Selection
from kip.cluster.backoff import backoff
from kip.cluster.list_pacing import pause_after
from kip.core.status.matrix import Matrix
from kip.core.status.wait_condition import Goal, Judgement, Observation, Result, judge
from kip.errors import ServerError, TooManyRequests, Unreachable
from kip.keeper.triggers import Triggers, Watches

SHORTEST_SECONDS = 0.5
USUAL_SECONDS = 2.0
LONGEST_SECONDS = 15.0
SHARE_OF_QUIET = 0.1
"""Where nothing has changed for long, the next look can wait for a while too."""

PASSING = (Unreachable, TooManyRequests, ServerError)
"""Trouble of the API server that a later look may not meet; any other error ends the wait."""

Pause = Callable[[float, float], None]
"""Waits at least so many seconds, and at most so many, if nothing happens to the cache meanwhile."""


@dataclass(frozen=True, slots=True)
class WaitResult:
    """How a wait ended: the last verdict, the matrix that it was made of, and how long it took."""

    verdict: Judgement
    matrix: Matrix | None
    seconds: float


@dataclass(slots=True)
class WaitLoop:
    """Waits for a goal. `told` hears each verdict; `clock` is monotonic seconds."""

    goal: Goal
    look: Callable[[], Observation]
    pause: Pause
    clock: Callable[[], float]
    random: Random
    told: Callable[[Judgement], None]

    def wait(self, timeout: float) -> WaitResult:
        """Wait for so many seconds at most; there is a last look when they are over."""
        began = changed = self.clock()
        end, failures = WaitResult(Judgement(Result.OPEN, 0, 0, 0), None, 0.0), 0
        while True:
            started = self.clock()
            least = 0.0
            try:
                look = self.look()
                verdict, failures = judge(self.goal, look), 0
                matrix = look.matrix
            except PASSING as error:
                least, failures = backoff(error, failures, self.random), failures + 1
                verdict, matrix = replace(end.verdict, why=f"the API server: {error}"), end.matrix
            now = self.clock()
            changed = changed if verdict == end.verdict else now
            end = WaitResult(verdict, matrix, now - began)
            self.told(verdict)
            left = began + timeout - now
            if verdict.result is not Result.OPEN or left <= 0:
                return end
            cheap, usual = pace(now - started, now - changed)
            least = max(least, cheap)
            self.pause(min(least, left), min(max(least, usual), left))


def pace(cost: float, unchanged: float = 0.0) -> tuple[float, float]:
    """Return how long to pause at least and at most after a look that took `cost` seconds."""
    least = max(SHORTEST_SECONDS, pause_after(cost))
    quiet = min(max(USUAL_SECONDS, unchanged * SHARE_OF_QUIET), LONGEST_SECONDS)
    return least, max(least, quiet)


@contextmanager
def pauses(cluster: Cluster, namespace: str, name: str) -> Iterator[Pause]:
    """Give pauses that end early when the DaemonSet changes, says a watch."""
    triggers = Triggers()
    watches = Watches(cluster, triggers, time.monotonic, Random())  # noqa: S311 - jitter guards nothing
    watches.follow([Selection(DAEMONSETS, namespace, name)])
    silence = threading.Event()

    def pause(least: float, most: float) -> None:
        silence.wait(least)
        triggers.wait(most - least)

    try:
        yield pause
    finally:
        watches.follow([])
