"""What is known of the pods: one list, a watch, and what was just created."""

from collections.abc import Iterator
from random import Random

import pytest
from fakes import Clock
from pullworld import SHAPE, World

from kip.cluster import watch
from kip.cluster.api import PODS, Listing, Selection, WatchEvent
from kip.errors import Forbidden, Unreachable
from kip.pulljob.planner import PodStart
from kip.pulljob.pod import render_pod
from kip.pulljob.podbook import PodBook
from kip.pulljob.spec import PullJob

JOB = PullJob("job", "images", ("x/a:1",), "0123456789")
SELECTION = Selection(PODS, "images", labels="x")


def pod(node: str, uid: str = "u") -> dict:
    made = render_pod(JOB, PodStart(node, 1, (0,)), SHAPE)
    made["metadata"] |= {"uid": uid, "creationTimestamp": "2026-11-21T08:00:00Z", "resourceVersion": "7"}
    return made


class Cluster:
    """Lists, then tells events, then stops the book; `while_listing` happens during the list."""

    def __init__(
        self, listed: list[dict], events: list[tuple[str, dict]], errors: list[Exception] = ()
    ) -> None:
        self.listed, self.events, self.errors = listed, events, list(errors)
        self.while_listing = lambda: None
        self.book: PodBook | None = None

    def pages(self, _: Selection) -> Iterator[Listing]:
        if self.errors:
            raise self.errors.pop(0)
        self.while_listing()
        yield Listing(tuple(self.listed), "1")

    def watch(self, *_: object) -> Iterator[WatchEvent]:
        for kind, found in self.events:
            yield WatchEvent(kind, found)
        self.book.stop()


def follow(cluster: Cluster) -> PodBook:
    book = cluster.book = PodBook(cluster, SELECTION, Clock(), Random(1))
    book._follow_for_ever()
    return book


def nodes(book: PodBook) -> set[str]:
    return {view.node for view in book.views()}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(watch, "backoff", lambda *_: 0.0)


def test_the_list_and_the_events_after_it_make_the_book():
    book = follow(Cluster([pod("a"), pod("b")], [("DELETED", pod("a")), ("ADDED", pod("c"))]))
    assert (nodes(book), book.complete) == ({"b", "c"}, True)


def test_a_pod_created_while_the_list_was_under_way_is_not_lost():
    cluster = Cluster([pod("a")], [])
    cluster.while_listing = lambda: cluster.book.put(pod("b"))
    assert nodes(follow(cluster)) == {"a", "b"}


def test_a_pod_that_went_away_between_two_lists_is_gone():
    cluster = Cluster([pod("a")], [])
    book = cluster.book = PodBook(cluster, SELECTION, Clock(), Random(1))
    book.put(pod("b"))
    book._follow_for_ever()
    assert nodes(book) == {"a"}


def test_the_deletion_of_an_earlier_pod_of_the_same_name_is_not_this_ones():
    book = follow(Cluster([pod("a", "new")], [("DELETED", pod("a", "old"))]))
    assert nodes(book) == {"a"}


def test_trouble_is_retried():
    assert nodes(follow(Cluster([pod("a")], [], [Unreachable("x"), Unreachable("y")]))) == {"a"}


def test_what_worked_for_long_starts_a_new_row_of_failures(monkeypatch):
    rows: list[int] = []
    monkeypatch.setattr(watch, "backoff", lambda _error, failures, _random: rows.append(failures) or 0.0)
    clock = Clock()

    class Breaking(Cluster):
        def watch(self, *_: object) -> Iterator[WatchEvent]:
            clock.seconds += 100.0
            if len(rows) == 3:
                self.book.stop()
            yield from ()
            raise Unreachable("the connection broke")

    cluster = Breaking([pod("a")], [], [Unreachable("x"), Unreachable("y")])
    cluster.book = PodBook(cluster, SELECTION, clock, Random(1))
    cluster.book._follow_for_ever()
    assert rows == [0, 1, 0]


def test_a_missing_right_ends_the_wait():
    book = follow(Cluster([], [], [Forbidden("no")]))
    with pytest.raises(Forbidden):
        book.wait(0)


def test_a_wait_ends_with_a_change():
    book = PodBook(Cluster([], []), SELECTION, Clock(), Random(1))
    book.wake()
    book.wait(60)


def test_the_world_of_the_tests_is_read_like_the_real_one():
    world = World(JOB, ["a"])
    world.create(PodStart("a", 1, (0,)))
    assert world.views()[0].job == JOB.key
