"""Whether a wait for images is over: reached, failed, or open; a pure judgement of one look at the cache."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from kip.config.diagnostics import Unreadable
from kip.config.images import CacheImage
from kip.config.references import parse_reference
from kip.config.settings import Settings
from kip.core.render.daemonset import OPERATING_SYSTEM
from kip.core.status.cell import FAILED_CREATE, UNTOLERATED_TAINT, Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.remedies import remedy_for
from kip.errors import KipError

Manifest = dict[str, Any]


LIST = "IMAGES"
NO_POD = ("NoPod", "the node has no cache pod yet")


class Result(StrEnum):
    """How a wait stands."""

    OPEN = "open"
    REACHED = "reached"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for.

    `images` are names or references (none: all of the list), `percent` the least share of the nodes that each
    has to be on. With `fail_fast` a failure that no retry cures is the end, with `allow_none` no node is
    enough.
    """

    images: tuple[str, ...] = ()
    percent: float = 100.0
    fail_fast: bool = False
    allow_none: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at the cluster found.

    `matrix` is None while there is no cache. `nodes` are those that it has to be on, where the caller named
    some by a selector; `unselected` those of them that its own node selection leaves out. `listed` is what
    the settings ask for, None where they cannot be read; `pending` says in words what of them the cache does
    not show yet, `refused` that they cannot be used, `left_out` which entries of the list cannot. `held` is
    the cache's own list.
    """

    matrix: Matrix | None
    held: tuple[CacheImage, ...] = ()
    nodes: frozenset[str] | None = None
    unselected: tuple[str, ...] = ()
    listed: tuple[CacheImage, ...] | None = None
    pending: str = ""
    refused: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """How the wait stands: `there` of `wanted` images times nodes, why not more, and what is missing.

    `unselected` are nodes that were chosen and are not waited for, as the cache does not select them.
    """

    result: Result
    there: int
    wanted: int
    nodes: int
    why: str = ""
    missing: tuple[Cell, ...] = ()
    unselected: tuple[str, ...] = ()


class NotListed(KipError):
    """An image that was asked for is not on the list of the cache."""


def judge(goal: Goal, look: Observation) -> Judgement:
    """Decide about a wait. Raises NotListed for an image that the newest list does not have."""
    matrix = look.matrix
    listed = look.held if look.listed is None else look.listed
    asked = () if look.listed is None and matrix is None else _asked(goal, listed)
    if matrix is None:
        return Judgement(Result.OPEN, 0, 0, 0, "there is no cache yet")
    cells = _cells(matrix, look.nodes, asked)
    nodes = _count_of_nodes(matrix, look.nodes)
    there = sum(cell.state is ImageState.CACHED for cell in cells)
    missing = tuple(cell for cell in cells if cell.state is not ImageState.CACHED)
    verdict = Judgement(Result.OPEN, there, nodes * len(asked), nodes, "", missing, look.unselected)
    if doubt := _doubt(look, matrix, asked if goal.images else ()):
        failed = goal.fail_fast and bool(look.refused)
        return _with(verdict, Result.FAILED if failed else Result.OPEN, doubt)
    if not nodes:
        why = "no node matches"
        return _with(verdict, Result.REACHED if goal.allow_none else Result.OPEN, why)
    needed = math.ceil(round(nodes * goal.percent / 100, 6))
    if all(_on(entry, cells) >= needed for entry in asked):
        return _reached(goal, look, verdict)
    if goal.fail_fast and (hopeless := [entry for entry in asked if _lost(entry, cells) > nodes - needed]):
        names = ", ".join(entry.name for entry in hopeless)
        return _with(verdict, Result.FAILED, f"a retry does not cure {names}")
    return _with(verdict, Result.OPEN, "")


def _reached(goal: Goal, look: Observation, verdict: Judgement) -> Judgement:
    """Return the end, where all that the cache holds is there: somebody may wait for what is left out."""
    if goal.images or not look.left_out:
        return _with(verdict, Result.REACHED, "")
    result = Result.FAILED if goal.fail_fast else Result.OPEN
    return _with(verdict, result, f"left out: {'; '.join(look.left_out)}")


def is_lasting(cell: Cell) -> bool:
    """Whether an image is kept away by what no retry cures soon; when in doubt it may pass.

    One without a pod waits for a place, but on a node with a taint that somebody has to tolerate.
    """
    if cell.state is not ImageState.FAILED and cell.reason != UNTOLERATED_TAINT:
        return False
    remedy = remedy_for(cell.reason, cell.message)
    return remedy is not None and remedy.lasting


def not_yet_taken(daemonset: Manifest, settings: Settings) -> str:
    """Return which setting the cache does not show yet, of those that say which image is where; else ""."""
    pod = daemonset["spec"]["template"]["spec"]
    if {(item["name"], item["image"]) for item in pod["containers"]} != {
        (entry.name, entry.image) for entry in settings.images
    }:
        return LIST
    if (pod.get("nodeSelector") or {}) != {**OPERATING_SYSTEM, **settings.node_selector}:
        return "NODE_SELECTOR"
    if (pod.get("affinity") or {}) != settings.affinity:
        return "AFFINITY"
    if list(pod.get("tolerations") or ()) != list(settings.tolerations):
        return "TOLERATIONS"
    return ""


def environment_of(deployment: Manifest) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment that a keeper's Deployment gives it, and the ConfigMaps that it takes whole."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    values = {item["name"]: item["value"] for item in container.get("env") or () if "value" in item}
    whole = (source.get("configMapRef") or {} for source in container.get("envFrom") or ())
    return values, tuple(source["name"] for source in whole if source.get("name"))


def _with(verdict: Judgement, result: Result, why: str) -> Judgement:
    return replace(verdict, result=result, why=why)


def _doubt(look: Observation, matrix: Matrix, asked: tuple[CacheImage, ...]) -> str:
    """Return why the counts prove nothing yet: an edit that is not in the cache, or not in its status.

    Who asked for some images need not wait for others that an edit brings.
    """
    if look.refused:
        return f"the newest settings cannot be used: {look.refused}"
    if look.pending and not (look.pending == LIST and asked and set(asked) <= set(look.held)):
        return f"an edit of {look.pending} is not yet taken"
    if not matrix.progress.current:
        return "the nodes are still being counted"
    return ""


def _asked(goal: Goal, listed: tuple[CacheImage, ...]) -> tuple[CacheImage, ...]:
    if not goal.images:
        return listed
    wanted = {text: _plain(text) for text in goal.images}
    for text, plain in wanted.items():
        if not any(_is(entry, text, plain) for entry in listed):
            raise NotListed(
                f"image {text} is not on the list of the cache",
                hint=f"The list: {', '.join(map(str, listed))}." if listed else "The list is empty.",
            )
    return tuple(entry for entry in listed if any(_is(entry, *item) for item in wanted.items()))


def _is(entry: CacheImage, text: str, plain: str) -> bool:
    return text in (entry.name, entry.image) or plain == _plain(entry.image)


def _plain(image: str) -> str:
    """Return the reference with Docker's defaults, so that `alpine:3` and its long form are the same."""
    try:
        return str(parse_reference(image))
    except Unreadable:
        return image


def _cells(matrix: Matrix, nodes: frozenset[str] | None, asked: Iterable[CacheImage]) -> tuple[Cell, ...]:
    """Return the cells that count, with those of nodes that have no pod yet, where their names are known."""
    keys = {(entry.name, entry.image) for entry in asked}
    seen = tuple(
        cell
        for cell in matrix.cells
        if (cell.name, cell.image) in keys and (nodes is None or cell.node in nodes)
    )
    return seen + tuple(_unseen(matrix, nodes or frozenset(), asked))


def _unseen(matrix: Matrix, nodes: frozenset[str], asked: Iterable[CacheImage]) -> Iterator[Cell]:
    tainted = {found.node: found.why for found in matrix.left_out or ()}
    others = (FAILED_CREATE, matrix.refused) if matrix.refused else NO_POD
    for entry in asked:
        for node in sorted(nodes - set(matrix.nodes)):
            yield Cell(node, entry.name, entry.image, ImageState.ABSENT, *tainted.get(node, others))


def _count_of_nodes(matrix: Matrix, nodes: frozenset[str] | None) -> int:
    return max(matrix.progress.expected, len(matrix.nodes)) if nodes is None else len(nodes)


def _on(entry: CacheImage, cells: Iterable[Cell]) -> int:
    return sum(cell.name == entry.name and cell.state is ImageState.CACHED for cell in cells)


def _lost(entry: CacheImage, cells: Iterable[Cell]) -> int:
    return sum(cell.name == entry.name and is_lasting(cell) for cell in cells)
