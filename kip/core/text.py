"""Many names in one sentence."""

from collections.abc import Sequence

MOST_NAMES = 5


def join_names(names: Sequence[str], count: int | None = None) -> str:
    """Name some, and count the others; `count` tells how many there are where not all names are known."""
    named = names[:MOST_NAMES]
    more = (len(names) if count is None else count) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
