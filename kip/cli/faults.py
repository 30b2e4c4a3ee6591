"""How nodes are named to people."""

NODES_NAMED = 5


def named(nodes: list[str]) -> str:
    """Name some nodes, and count the others."""
    more = f" and {len(nodes) - NODES_NAMED} more" if len(nodes) > NODES_NAMED else ""
    return ", ".join(nodes[:NODES_NAMED]) + more
