"""How the jobs share the nodes that may pull at once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Demand:
    """One job: on how many nodes it pulls now, and on how many more it would like to."""

    pulling: int
    wants: int


def allocate(budget: int, wishes: Mapping[str, Demand], turn: int = 0) -> dict[str, int]:
    """Return on how many more nodes each job may pull, so that all together never exceed `budget`.

    A free place goes to the job that has the fewest, and among equals to the one whose turn it is (any number
    that grows): what a small job does not need the others have, and no large one keeps a later one waiting.
    A job never gives back what it has; it only gets nothing new until the others have caught up.
    """
    free = budget - sum(wish.pulling for wish in wishes.values())
    given = dict.fromkeys(wishes, 0)
    heap: list[tuple[int, int, str]] = []
    for place, (name, wish) in enumerate(wishes.items()):
        if wish.wants:
            heappush(heap, (wish.pulling, (place - turn) % len(wishes), name))
    while free > 0 and heap:
        has, place, name = heappop(heap)
        given[name] += 1
        free -= 1
        if given[name] < wishes[name].wants:
            heappush(heap, (has + 1, place, name))
    return given
