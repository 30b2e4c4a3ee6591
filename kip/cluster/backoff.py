"""How long to wait before asking again."""

from random import Random

from kip.errors import ApiError, Forbidden, KipError

SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
FORBIDDEN_SECONDS = 60.0
"""A missing right that does not come soon, as it does after the start of an API server, has to be granted."""


def backoff(error: KipError, failures: int, random: Random) -> float:
    """Return the seconds to wait after `failures` earlier failures in a row: growing, capped, jittered.

    A Retry-After of the server is the least.
    """
    if isinstance(error, Forbidden) and failures >= len(SECONDS):
        return FORBIDDEN_SECONDS
    seconds = SECONDS[min(failures, len(SECONDS) - 1)] * random.uniform(0.75, 1.25)
    asked = error.retry_after if isinstance(error, ApiError) else None
    return max(seconds, asked or 0.0)
