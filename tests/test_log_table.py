"""The table of log events, held against the code: each event is in it, with its level and its keys."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kip.cluster.event_recorder import BURST, REFILL_SECONDS
from kip.log_table import TABLE

TOP = Path(__file__).parents[1]
LEVELS = {"debug", "info", "warning", "error"}
LOGGERS = {"log", "report"}
DYNAMIC = {"write": "info", "_warn": "warning"}
"""They stand for a logger's method: the reconcile's line is debug without news, the lease's adds keys."""


@dataclass(frozen=True)
class Line:
    """One place where something is logged; `open_keys`: it has others that the code does not name there."""

    place: str
    event: str | None
    level: str
    keys: frozenset[str]
    open_keys: bool


def lines() -> Iterator[Line]:
    for path in sorted((TOP / "kip").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (level := level_of(node.func)):
                first = node.args[0] if node.args else None
                yield Line(
                    f"{path.relative_to(TOP)}:{node.lineno}",
                    first.value if isinstance(first, ast.Constant) else None,
                    level,
                    frozenset(
                        "exception" if keyword.arg == "exc_info" else keyword.arg
                        for keyword in node.keywords
                        if keyword.arg
                    ),
                    open_keys="_warn" in ast.unparse(node.func)
                    or None in {item.arg for item in node.keywords},
                )


def level_of(function: ast.expr) -> str:
    """Return the level that a call logs on, "" when it is no call of a logger."""
    if isinstance(function, ast.Name):
        return DYNAMIC.get(function.id, "")
    if not isinstance(function, ast.Attribute):
        return ""
    if function.attr in LEVELS and isinstance(function.value, ast.Name) and function.value.id in LOGGERS:
        return function.attr
    return DYNAMIC.get(function.attr, "") if ast.unparse(function.value) == "self" else ""


LINES = [line for line in lines() if line.event is not None]
BY_NAME = {event.name: event for event in TABLE}


def test_no_event_is_there_twice():
    assert len(BY_NAME) == len(TABLE)


def test_every_logger_names_its_event_where_it_is_called():
    nameless = [line.place for line in lines() if line.event is None]
    assert [place.partition(":")[0] for place in nameless] == [
        "kip/keeper/lease.py"
    ]  # where _warn is defined


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.event}@{line.place}")
def test_what_is_logged_is_in_the_table(line):
    event = BY_NAME[line.event]
    assert (event.level, line.keys <= set(event.keys.split())) == (line.level, True), line


@pytest.mark.parametrize("event", TABLE, ids=lambda event: event.name)
def test_what_is_in_the_table_is_logged(event):
    places = [line for line in LINES if line.event == event.name]
    named = frozenset().union(*(line.keys for line in places))
    keys = set(event.keys.split())
    # `trigger` is bound to the logger of a reconcile.
    assert places
    assert named | {"trigger"} >= keys or any(line.open_keys for line in places), event


def test_the_docs_say_how_fast_events_may_come():
    said = " ".join((TOP / "docs/logs.md").read_text("utf-8").split())
    assert f"one each {REFILL_SECONDS:g} s after the first {BURST:g}," in said
