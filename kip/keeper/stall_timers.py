"""How long the plan has been waiting for the same thing."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class StallTimers:
    """Seconds since each key was first asked for, or since less was left to wait for than ever before.

    A key that one round does not ask for is forgotten.

    Kept in memory only, by a monotonic `clock`: a keeper that starts anew waits anew, and no two machines'
    clocks are compared.
    """

    clock: Callable[[], float]
    _since: dict[Hashable, tuple[float, int]] = field(default_factory=dict)
    _asked: dict[Hashable, tuple[float, int]] = field(default_factory=dict)

    def __call__(self, key: Hashable, left: int = 0) -> float:
        """Return for how long `key` has been asked for in every round, without a progress in what is `left`.

        Progress is less than there ever was: what goes up and down does not make it wait for ever.
        """
        now = self.clock()
        since, least = self._asked.get(key) or self._since.get(key) or (now, left)
        if left < least:
            since, least = now, left
        self._asked[key] = since, least
        return now - since

    @contextmanager
    def round(self) -> Iterator[None]:
        """Begin a round; what the one before did not ask for is over, unless that one failed."""
        self._since, self._asked = self._asked, {}
        try:
            yield
        except BaseException:
            self._asked = self._since | self._asked
            raise
