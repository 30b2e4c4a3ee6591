"""How tables look, wherever the commands show one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FILE_WIDTH = 10_000
"""Into a file or a pipe no line is folded."""

DIGEST_LENGTH = 12
UNITS = ("B", "kB", "MB", "GB")
THOUSAND = 1000


def console() -> "Console":
    """Return the console to print on."""
    from rich.console import Console  # noqa: PLC0415 - only people pay for it

    # No emoji: `:1234:`, as in the kubelet's "dial tcp 10.0.0.1:1234: refused", would become one.
    found = Console(highlight=False, emoji=False)
    if not found.is_terminal:
        found.width = FILE_WIDTH
    return found


def new_table(*titles: str) -> "Table":
    """Return an empty table with these columns."""
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")
    return made


def amount(size: int | None) -> str:
    """Return bytes as people read them."""
    if size is None:
        return ""
    number, unit = float(size), UNITS[0]
    for unit in UNITS:
        if number < THOUSAND or unit == UNITS[-1]:
            break
        number /= THOUSAND
    return f"{number:.0f} {unit}" if unit == UNITS[0] else f"{number:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Return seconds as people read them."""
    return "" if seconds is None else f"{seconds:.1f} s"


def short_digest(digest: str) -> str:
    """Return as much of a digest as people compare."""
    return digest.rpartition(":")[2][:DIGEST_LENGTH]
