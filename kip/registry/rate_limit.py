"""How kip spares registries: few requests at a time to each host, and none while it asked for a pause."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MOST_IN_FLIGHT = 4


@dataclass(slots=True)
class _Host:
    turns: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MOST_IN_FLIGHT)
    )
    rests_until: float = 0.0


class RateLimiter:
    """What is going on with each host (`host` or `host:port`). May be used from several threads.

    `clock` is monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, host: str) -> Iterator[float]:
        """Wait for a turn to ask the host; give the seconds for which it is still to be left alone."""
        found = self._host(host)
        with found.turns:
            yield max(found.rests_until - self._clock(), 0.0)

    def rest(self, host: str, seconds: float) -> None:
        """Leave the host alone for so long; a longer pause that was set before stays."""
        found = self._host(host)
        with self._lock:
            found.rests_until = max(found.rests_until, self._clock() + seconds)

    def _host(self, host: str) -> _Host:
        with self._lock:
            return self._hosts.setdefault(host, _Host())
