"""How tables look, wherever the commands show one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FILE_WIDTH = 10_000
"""Into a file or a pipe no line is folded."""

DIGEST_LENGTH = 12


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


def short_digest(digest: str) -> str:
    """Return as much of a digest as people compare."""
    return digest.rpartition(":")[2][:DIGEST_LENGTH]
