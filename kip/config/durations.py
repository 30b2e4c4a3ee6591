"""The interval: hours as upstream writes them, or a Go duration such as `1h30m`."""

import re
from datetime import timedelta
from decimal import Decimal

from kip.config.diagnostics import Unreadable

SHORTEST = timedelta(minutes=1)
"""Below, the nodes would ask their registries all the time. Upstream took 0 and looped without a pause."""

LONGEST = timedelta(days=3650)
"""Ten years. Upstream's arithmetic overflowed into an endless loop somewhere beyond."""

_HOURS = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?({_PART.pattern})+")
_SECONDS = {
    "ns": "1e-9",
    "us": "1e-6",
    "µs": "1e-6",
    "μs": "1e-6",
    "ms": "1e-3",
    "s": "1",
    "m": "60",
    "h": "3600",
}
_EXAMPLES = "Write hours, such as 1 or 0.5, or a duration, such as 30m."
_LONGEST_TEXT = 64


def parse_interval(text: str) -> timedelta:
    """Return the interval that `text` names, in hours or as a Go duration. Raise `Unreadable`."""
    seconds = _seconds(text)
    if seconds <= 0:
        raise Unreadable(
            "leaves no time between two refreshes", hint=f"{_EXAMPLES} REFRESH=never refreshes never."
        )
    if seconds < SHORTEST.total_seconds():
        raise Unreadable("is shorter than one minute", hint="Write at least 1m (0.017 hours).")
    if seconds > LONGEST.total_seconds():
        raise Unreadable(
            "is longer than ten years", hint="Write at most 87600. REFRESH=never refreshes never."
        )
    return timedelta(seconds=float(seconds))


def is_duration(text: str) -> bool:
    """Whether `text` has Go's units, which upstream did not read."""
    return bool(_DURATION.fullmatch(text))


def _seconds(text: str) -> Decimal:
    if len(text) > _LONGEST_TEXT:
        raise Unreadable("is not a number of hours", hint=_EXAMPLES)
    if _HOURS.fullmatch(text):
        return Decimal(text) * 3600
    if is_duration(text):
        total = sum(
            (Decimal(number) * Decimal(_SECONDS[unit]) for number, unit in _PART.findall(text)), Decimal(0)
        )
        return -total if text.startswith("-") else total
    raise Unreadable("is not a number of hours", hint=_remedy(text))


def _remedy(text: str) -> str:
    number = re.match(r"[0-9]+([.,][0-9]+)?", text)
    if not number:
        return _EXAMPLES
    plain, unit = number[0].replace(",", "."), text[number.end() :].strip().lower()
    if unit.startswith("d"):
        return f"Write hours: {float(plain) * 24:g}."
    return f"Write {plain}m." if unit.startswith("min") else f"Write {plain}."
