"""How long the plan has been waiting for the same thing."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Waits:
    """Seconds since each key was first asked for. A key that one round does not ask for is forgotten.

    Kept in memory only, by a monotonic `clock`: a keeper that starts anew waits anew, and no two machines'
    clocks are compared.
    """

    clock: Callable[[], float]
    _since: dict[Hashable, float] = field(default_factory=dict)
    _asked: dict[Hashable, float] = field(default_factory=dict)

    def __call__(self, key: Hashable) -> float:
        """Return for how long `key` has been asked for in every round."""
        now = self.clock()
        since = self._asked.setdefault(key, self._since.get(key, now))
        return now - since

    def next_round(self) -> None:
        """Begin a round; what the one before did not ask for is over."""
        self._since, self._asked = self._asked, {}
