"""The matrix as the page reads it: small for thousands of nodes, as most of them are alike.

    {
      "cache": "namespace/daemonset", "generation": 3,
      "state": "failing", "verdict": "Not complete: ...", "wanted": 5000,
      "states": ["cached", ...],
      "images": [{"name": ..., "image": ..., "counts": [number for each state],
                  "kinds": [[state, fault, message, digest], ...]}],
      "rows": [[kind of the first image, kind of the second, ...], ...],
      "nodes": [name, ...], "row": [row of the first node, ...], "since": [time of the first node, ...],
      "faults": [{"image": ..., "reason": ..., "state": ..., "nodes": 12, "remedy": ...,
                  "messages": [[message, nodes], ...]}]
    }

States, faults, images, kinds and rows are told by their place in these lists; a fault of -1 is none. Nodes on
which everything is alike share a row, cells of an image that are alike a kind. The image of a fault is null
where it is the node's: where every image of a node has the same reason. A fault that no kind has is of nodes
that are not known by name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.problems import SAME, refusal_of
from kip.core.status.remedies import remedy_text
from kip.core.status.summary import summary_line
from kip.redact import redacted

Document = dict[str, Any]

MESSAGE_LENGTH = 600
MESSAGES_TOLD = 500
"""So many different messages are told: each of thousands may name another port of its own."""

MESSAGES_OF_FAULT = 5

STATES = tuple(ImageState)
SEVERITY = (ImageState.FAILED, ImageState.ABSENT, ImageState.WAITING, ImageState.PULLING, ImageState.CACHED)
UNKNOWN = -1
"""A kind or a fault that there is not."""

Fault = tuple[int | None, str]
"""The image by its place in the list, None for all of a node, and the reason: one for the SAME ones."""

Kind = tuple[ImageState, Fault | None, str, str]


def page_document(matrix: Matrix) -> Document:
    """Return the matrix as plain values for the page."""
    counts = matrix.counts()
    table = _Table({image: place for place, image in enumerate(counts)})
    by_node = _by_node(matrix)
    row_of = [table.add(cells) for cells in by_node.values()]
    kinds = [tuple(found) for found in table.kinds]
    faults = _faults(table.rows, kinds, Counter(row_of))
    unnamed = [*_unnamed(matrix)]
    number_of = {fault: number for number, (fault, _) in enumerate(faults)}
    return {
        "cache": f"{matrix.namespace}/{matrix.daemonset}",
        "generation": matrix.generation,
        "state": _state(matrix, faulty=bool(faults or unnamed)),
        "verdict": summary_line(matrix),
        "wanted": matrix.progress.wanted,
        "states": [state.value for state in STATES],
        "images": [
            {
                "name": name,
                "image": image,
                "counts": [count[state] for state in STATES],
                "kinds": [_told(kind, number_of) for kind in found],
            }
            for ((name, image), count), found in zip(counts.items(), kinds, strict=True)
        ],
        "rows": [list(row) for row in table.rows],
        "nodes": list(by_node),
        "row": row_of,
        "since": [max((cell.since for cell in cells), default="") for cells in by_node.values()],
        "faults": [*(told for _, told in faults), *unnamed],
    }


def shown(text: str) -> str:
    """Return a text as the page may show it: without passwords, and not endless."""
    text = redacted(text)
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]}…"


@dataclass(slots=True)
class _Table:
    """The kinds of cells and the rows met so far, each with its number."""

    places: dict[tuple[str, str], int]
    rows: dict[tuple[int, ...], int] = field(default_factory=dict)
    kinds: list[dict[Kind, int]] = field(init=False)
    _messages: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kinds = [{} for _ in self.places]

    def add(self, cells: list[Cell]) -> int:
        """Return the row of a node."""
        of_node = len(cells) > 1 and len({cell.reason for cell in cells}) == 1
        row = [UNKNOWN] * len(self.kinds)
        for cell in cells:
            place = self.places[cell.name, cell.image]
            fault = (None if of_node else place, SAME.get(cell.reason, cell.reason)) if cell.reason else None
            kind = (cell.state, fault, self._message(cell.message), cell.digest)
            row[place] = self.kinds[place].setdefault(kind, len(self.kinds[place]))
        return self.rows.setdefault(tuple(row), len(self.rows))

    def _message(self, message: str) -> str:
        found = self._messages.get(message)
        if found is None:
            if len(self._messages) >= MESSAGES_TOLD:
                return ""
            found = self._messages[message] = shown(message)
        return found


def _by_node(matrix: Matrix) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {node: [] for node in (*matrix.nodes, *matrix.podless)}
    for cell in matrix.cells:
        found[cell.node].append(cell)
    return found


def _state(matrix: Matrix, *, faulty: bool) -> str:
    """Return `complete`, `failing`, `counting`, `no matching nodes` or `filling`."""
    if matrix.complete:
        return "complete"
    if faulty:
        return "failing"
    return "filling" if matrix.progress.state == "complete" else matrix.progress.state


def _told(kind: Kind, number_of: dict[Fault, int]) -> list[Any]:
    state, fault, message, digest = kind
    return [STATES.index(state), number_of[fault] if fault else UNKNOWN, message, digest]


def _faults(
    rows: dict[tuple[int, ...], int], kinds: list[tuple[Kind, ...]], nodes: Counter[int]
) -> list[tuple[Fault, Document]]:
    """Return each fault with what is told of it: the worst state first, then the most nodes."""
    messages: defaultdict[Fault, Counter[str]] = defaultdict(Counter)
    worst: dict[Fault, ImageState] = {}
    nodes_of: Counter[Fault] = Counter()
    for row, number in rows.items():
        faulty = [kinds[place][kind] for place, kind in enumerate(row) if kind != UNKNOWN]
        said: dict[tuple[Fault, str], None] = {}  # a set would be of another order in each process
        for state, fault, message, _ in faulty:
            if fault:
                said[fault, message] = None
                worst[fault] = min(state, worst.get(fault, state), key=SEVERITY.index)
        nodes_of.update(dict.fromkeys((fault for fault, _ in said), nodes[number]))
        for fault, message in said:
            messages[fault][message] += nodes[number]
    order = sorted(nodes_of, key=lambda fault: (SEVERITY.index(worst[fault]), -nodes_of[fault]))
    return [(fault, _fault(fault, worst[fault], nodes_of[fault], messages[fault])) for fault in order]


def _fault(fault: Fault, state: ImageState, nodes: int, messages: Counter[str]) -> Document:
    image, reason = fault
    # Of as many nodes the longer one: "Back-off pulling image" may not say why.
    said = sorted(messages.items(), key=lambda item: (-item[1], -len(item[0])))[:MESSAGES_OF_FAULT]
    return {
        "image": image,
        "reason": reason,
        "state": STATES.index(state),
        "nodes": nodes,
        "messages": [list(item) for item in said],
        "remedy": remedy_text(reason, said[0][0]),
    }


def _unnamed(matrix: Matrix) -> Iterator[Document]:
    """Give why nodes have no pod, where their names are not known."""
    refusal = None if matrix.podless else refusal_of(matrix)
    if refusal:
        yield _fault(
            (None, refusal.reason),
            ImageState.ABSENT,
            refusal.count,
            Counter({shown(refusal.message): refusal.count}),
        )
