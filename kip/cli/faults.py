"""How what is missing is told to people: each fault once, with the nodes that have it."""

from collections.abc import Iterable, Iterator

from kip.core.status import Cell

NODES_NAMED = 5


def faults(cells: Iterable[Cell]) -> Iterator[str]:
    """Say each fault once, with the nodes that have it."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        if cell.reason:
            found.setdefault((cell.name, cell.reason, cell.message), []).append(cell.node)
    for (name, reason, message), nodes in found.items():
        yield f"{name} on {named(nodes)}: {reason}: {message}"


def named(nodes: list[str]) -> str:
    """Name some nodes, and count the others."""
    more = f" and {len(nodes) - NODES_NAMED} more" if len(nodes) > NODES_NAMED else ""
    return ", ".join(nodes[:NODES_NAMED]) + more
