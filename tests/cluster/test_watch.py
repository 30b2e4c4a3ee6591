"""Following and watching for ever: resuming, listing again, backing off."""

import threading
from random import Random

import pytest
from structlog.testing import capture_logs

from kip.cluster.api import DAEMONSETS, EVENTS, Listing, Selection, WatchEvent
from kip.cluster.backoff import backoff
from kip.cluster.watch import follow, watch_for_ever
from kip.errors import Forbidden, Gone, ServerError, TooManyRequests, Unreachable

SELECTION = Selection(DAEMONSETS, "images", "cache")


class Scripted:
    """Answers watches with a script: lists of events, or errors to raise."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.lists = 0
        self.watched: list[str] = []

    def pages(self, _selection):
        self.lists += 1
        yield Listing((), f"list-{self.lists}")

    def watch(self, _selection, version, _seconds):
        self.watched.append(version)
        if not self.script:
            raise Unreachable("the script is over")
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from answer


class Stop(threading.Event):
    """Records the waits instead of waiting; ends after `limit` of them."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._limit = limit

    def wait(self, timeout=None):
        self.waits.append(timeout)
        if len(self.waits) >= self._limit:
            self.set()
        return self.is_set()


class Clock:
    """A clock that goes on by `step` seconds each time it is read."""

    def __init__(self, step: float) -> None:
        self.now, self._step = 0.0, step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def never() -> bool:
    return False


def event(kind: str, version: str) -> WatchEvent:
    return WatchEvent(kind, {"metadata": {"resourceVersion": version}})


def watched(cluster, *, waits: int, step: float = 5.0) -> tuple[list[float], int]:
    """Watch until so many waits; return them, and how often `changed` was called."""
    stop, calls = Stop(waits), []
    watch_for_ever(
        cluster, SELECTION, lambda _: calls.append(1), stop=stop, clock=Clock(step), random=Random(1)
    )
    return stop.waits, len(calls)


def followed(cluster, *, step: float = 100.0) -> list:
    found = []
    with pytest.raises((Unreachable, Gone)):
        found += follow(cluster, SELECTION, Clock(step), never)
    return found


def test_a_watch_that_ends_is_resumed_from_the_last_version():
    cluster = Scripted([event("MODIFIED", "7")], [event("BOOKMARK", "9")])
    followed(cluster)
    assert cluster.watched == ["list-1", "7", "9"]


def test_bookmarks_are_no_changes():
    cluster = Scripted([event("BOOKMARK", "7")])
    with pytest.raises(Unreachable):
        assert [item for item in follow(cluster, SELECTION, Clock(100.0), never) if item] == []


def test_of_events_the_version_is_asked_for_again_as_no_bookmarks_come():
    cluster = Scripted([], [])
    with pytest.raises(Unreachable):
        list(follow(cluster, Selection(EVENTS, "images"), Clock(100.0), never))
    assert cluster.watched == ["list-1", "list-2", "list-3"]


def test_a_watch_that_ends_at_once_is_a_failure():
    cluster = Scripted([], [], [])
    with pytest.raises(Gone):
        list(follow(cluster, SELECTION, Clock(0.1), never))


def test_after_a_version_that_is_too_old_everything_is_listed_again():
    cluster = Scripted([event("MODIFIED", "7")], Gone("too old"), [event("MODIFIED", "8")])
    watched(cluster, waits=2)
    assert (cluster.lists, cluster.watched) == (2, ["list-1", "7", "list-2", "8"])


def test_every_list_and_every_event_is_a_change():
    cluster = Scripted([event("MODIFIED", "7"), event("MODIFIED", "8")])
    _, changes = watched(cluster, waits=1)
    assert changes == 3


def test_each_event_is_told_and_first_that_it_begins():
    stop, told = Stop(1), []
    happened = [event("MODIFIED", "7"), event("DELETED", "8")]
    watch_for_ever(Scripted(happened), SELECTION, told.append, stop=stop, clock=Clock(5.0), random=Random(1))
    assert told == [None, *happened]


def test_watches_that_end_at_once_are_no_hot_loop():
    cluster = Scripted(*([] for _ in range(50)))
    waits, _ = watched(cluster, waits=6, step=0.01)
    assert (len(cluster.watched), sum(waits) > 20) == (6, True)


def test_failures_in_a_row_are_waited_for_longer_and_longer():
    waits, _ = watched(Scripted(), waits=5)
    assert waits == sorted(waits)


def test_a_fault_of_kips_own_does_not_end_the_watch():
    cluster = Scripted(KeyError("object"), [event("MODIFIED", "7")])
    _, changes = watched(cluster, waits=2)
    assert changes == 3


def test_an_event_ends_the_row_of_failures():
    cluster = Scripted(Unreachable("a"), Unreachable("b"), [event("MODIFIED", "7")], Unreachable("c"))
    waits, _ = watched(cluster, waits=3)
    assert waits[2] < waits[1]


def test_the_servers_wish_to_wait_is_heeded():
    assert backoff(TooManyRequests("later", retry_after=50.0), 0, Random(1)) == 50.0


def test_the_wait_is_capped():
    assert backoff(ServerError("down"), 1000, Random(1)) <= 30 * 1.25


def test_a_missing_right_is_asked_for_ever_more_seldom():
    waits = [backoff(Forbidden("no"), failures, Random(1)) for failures in range(9)]
    assert (waits[0] < 1.0, waits[4] < 11.0, waits[-1]) == (True, True, 60.0)


def test_two_keepers_do_not_wait_the_same_time():
    assert backoff(ServerError("down"), 3, Random(1)) != backoff(ServerError("down"), 3, Random(2))


def test_what_worked_for_long_starts_a_new_row_of_failures():
    waits, _ = watched(Scripted(*([] for _ in range(3))), waits=3, step=100.0)
    assert max(waits) < 1.0


def test_a_watch_that_fails_after_its_end_is_silent():
    stop = threading.Event()

    class Ending(Scripted):
        def pages(self, _selection):
            stop.set()
            raise Unreachable("gone")

    with capture_logs() as logs:
        watch_for_ever(Ending(), SELECTION, lambda _: None, stop=stop, clock=Clock(5.0), random=Random(1))
    assert logs == []


def test_a_stopped_watch_ends():
    stop = threading.Event()
    cluster = Scripted([event("MODIFIED", "7"), event("MODIFIED", "8")])
    told = []

    def seen(happened):
        told.append(happened)
        if happened:
            stop.set()

    watch_for_ever(cluster, SELECTION, seen, stop=stop, clock=Clock(100.0), random=Random(1))
    assert (len(cluster.watched), len(told)) == (1, 2)


def test_a_watch_that_is_stopped_while_nothing_happens_asks_no_more():
    stop = threading.Event()

    class Quiet(Scripted):
        def watch(self, *request):
            stop.set()
            yield from super().watch(*request)

    cluster = Quiet([], [event("MODIFIED", "7")])
    watch_for_ever(cluster, SELECTION, lambda _: None, stop=stop, clock=Clock(100.0), random=Random(1))
    assert len(cluster.watched) == 1


def test_a_watch_that_breaks_off_is_told_by_its_resource():
    told: list[str] = []
    watch_for_ever(
        Scripted([event("MODIFIED", "7")]),
        SELECTION,
        lambda _: None,
        stop=Stop(2),
        clock=Clock(5.0),
        random=Random(1),
        restarted=told.append,
    )
    assert told == [SELECTION.resource.plural] * 2
