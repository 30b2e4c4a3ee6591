"""Objects as last heard of: a list, then a watch, whatever becomes of both."""

import queue
import threading
from collections.abc import Iterator
from random import Random

import pytest

from kip.cluster import watch
from kip.cluster.api import NODES, Listing, Selection, WatchEvent
from kip.errors import Forbidden, Gone, KipError, Unreachable
from kip.jobs.shelf import Shelf


def node(name: str, **fields: str) -> dict:
    return {"metadata": {"name": name, "resourceVersion": "2"}, **fields}


class Scripted:
    """Answers lists and watches in turn; an error is raised, the last watch, or no list, lasts."""

    def __init__(self, lists: list, watches: list) -> None:
        self.lists, self.watches = lists, watches
        self.open = threading.Event()

    def pages(self, _selection: Selection) -> Iterator[Listing]:
        if not self.lists:
            self.open.wait(10)
            raise Unreachable("the test is over")
        answer = self.lists.pop(0)
        if isinstance(answer, KipError):
            raise answer
        yield Listing(tuple(answer), "1")

    def watch(self, _selection: Selection, _version: str, _seconds: int) -> Iterator[WatchEvent]:
        for kind, item in self.watches.pop(0) if self.watches else []:
            if isinstance(item, KipError):
                raise item
            yield WatchEvent(kind, item)
        if not self.watches:
            self.open.wait(10)


@pytest.fixture
def shelf_of(monkeypatch):
    monkeypatch.setattr(watch, "backoff", lambda *_: 0.0)
    made = []

    def make(cluster: Scripted, wakes: int) -> Shelf[tuple]:
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        shelf = Shelf(
            cluster,
            Selection(NODES, ""),
            lambda item: (item["metadata"]["name"], item.get("is", "")),
            lambda: woken.put(None),
            lambda: 0.0,
            Random(1),
        )
        made.append((shelf, cluster))
        shelf.start()
        for _ in range(wakes):
            woken.get(timeout=10)
        assert woken.empty()
        return shelf

    yield make
    for shelf, cluster in made:
        shelf.stop()
        cluster.open.set()


def test_what_is_listed_and_what_happens_then_is_known(shelf_of):
    events = [("ADDED", node("c")), ("MODIFIED", node("a", **{"is": "new"})), ("DELETED", node("b"))]
    shelf = shelf_of(Scripted([[node("a"), node("b")]], [events]), 4)
    assert sorted(shelf.items()) == [("a", "new"), ("c", "")]
    assert shelf.complete


def test_a_sign_of_life_that_changes_nothing_wakes_nobody(shelf_of):
    events = [("MODIFIED", node("a", heartbeat="1")), ("ADDED", node("b"))]
    shelf = shelf_of(Scripted([[node("a")]], [events]), 2)
    assert shelf.changes == 2


def test_what_was_missed_is_seen_by_the_next_list(shelf_of):
    cluster = Scripted([[node("a")], [node("b")]], [[("", Gone("too old"))], []])
    shelf = shelf_of(cluster, 2)
    assert shelf.items() == (("b", ""),)


def test_a_missing_right_is_said_and_forgotten_when_it_comes(shelf_of):
    cluster = Scripted([Forbidden("no"), Unreachable("no answer"), [node("a")]], [[]])
    shelf = shelf_of(cluster, 2)
    assert (shelf.refused, shelf.complete) == (None, True)
    never = shelf_of(Scripted([Forbidden("no")], []), 1)
    assert isinstance(never.refused, Forbidden)
    assert not never.complete
