"""The matrix as people see it: images or nodes as rows, each fault once, and a verdict."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kip.cli.tables import amount, duration, new_table, short_digest
from kip.core.status.cell import Cell, ImageState
from kip.core.status.excluded_nodes import remarks
from kip.core.status.matrix import Matrix
from kip.core.status.problems import image_problems
from kip.core.status.summary import summary_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

NODE_COLUMNS = 8
"""With more nodes than this the table counts them instead of naming each."""

MARKS = {
    ImageState.CACHED: ("cached", "green"),
    ImageState.PULLING: ("pulling", "cyan"),
    ImageState.WAITING: ("waiting", "cyan"),
    ImageState.FAILED: ("FAILED", "red"),
    ImageState.ABSENT: ("absent", "yellow"),
}
WIDE = ("SIZE", "SLOWEST PULL", "DIGESTS")
COUNTS = [state.value.upper() for state in ImageState]


def picture(matrix: Matrix, *, by_node: bool, wide: bool) -> "Group":
    """Return the whole of what is shown: table, faults, nodes that are left out, verdict."""
    from rich.console import Group  # noqa: PLC0415 - only people pay for it
    from rich.text import Text  # noqa: PLC0415

    table = _nodes(matrix, wide=wide) if by_node else _images(matrix, wide=wide)
    lines: list[Text] = []
    for trouble in image_problems(matrix):
        wrong, *remedy = trouble.lines
        lines += [Text(wrong, style="red"), *map(Text, remedy)]
    lines += map(Text, remarks(matrix.left_out or ()))
    return Group(table, *lines, Text(summary_line(matrix)))


def _images(matrix: Matrix, *, wide: bool) -> "Table":
    nodes = (*matrix.nodes, *matrix.podless)
    named = len(nodes) <= NODE_COLUMNS and not wide
    titles = [*nodes] if named else COUNTS
    table = new_table("NAME", "IMAGE", *titles, *(WIDE if wide else []))
    cells = {(cell.name, cell.node): cell for cell in matrix.cells}
    by_name: dict[str, list[Cell]] = {}
    for cell in matrix.cells:
        by_name.setdefault(cell.name, []).append(cell)
    for (name, image), count in matrix.counts().items():
        row = [_mark(cells[name, node]) for node in nodes] if named else _numbers(count)
        table.add_row(_plain(name), _plain(image), *row, *(_wide(by_name.get(name, [])) if wide else []))
    return table


def _wide(cells: list[Cell]) -> tuple[str, str, str]:
    """Return size, slowest pull and digests of one image, as far as they are told."""
    size = max((cell.size for cell in cells if cell.size is not None), default=None)
    slowest = max((cell.pull_seconds for cell in cells if cell.pull_seconds is not None), default=None)
    digests = Counter(short_digest(cell.digest) for cell in cells)
    return amount(size), duration(slowest), _digests(digests)


def _nodes(matrix: Matrix, *, wide: bool) -> "Table":
    table = new_table("NODE", *COUNTS, *(["NOT CACHED"] if wide else []))
    rows: dict[str, list[Cell]] = {node: [] for node in (*matrix.nodes, *matrix.podless)}
    for cell in matrix.cells:
        rows[cell.node].append(cell)
    for node, cells in rows.items():
        missing = ", ".join(
            f"{cell.name} {cell.state.value}" for cell in cells if cell.state != ImageState.CACHED
        )
        counts = _numbers(Counter(cell.state for cell in cells))
        table.add_row(_plain(node), *counts, *([_plain(missing)] if wide else []))
    return table


def _plain(text: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    return Text(text)


def _numbers(count: Counter[ImageState]) -> Iterator[str]:
    return (str(count[state]) for state in ImageState)


def _mark(cell: Cell) -> str:
    word, colour = MARKS[cell.state]
    return f"[{colour}]{word}[/]"


def _digests(found: Counter[str]) -> str:
    """Name the digests; where nodes have different ones, on how many each is."""
    there = {digest: number for digest, number in found.most_common() if digest}
    if len(there) == 1:
        return next(iter(there))
    return ", ".join(f"{digest} ({number})" for digest, number in there.items())
