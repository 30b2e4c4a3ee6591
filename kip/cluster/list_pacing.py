"""How often thousands of pods may be listed: so seldom that the lists are a small share of the time."""

SHARE_OF_TIME = 20.0
LONGEST_SECONDS = 120.0


def pause_after(cost: float) -> float:
    """Return how many seconds to pause after a look that took `cost` seconds."""
    return min(cost * SHARE_OF_TIME, LONGEST_SECONDS)
