"""A refresh rolls the cache only if a tag moved, and never waits for a registry."""

from datetime import UTC, datetime, timedelta

import pytest
from samples import manifest, settings, stored
from structlog.testing import capture_logs

from kip.core.render.daemonset import DIGESTS, REFRESHED_AT
from kip.core.rollout.refresh import new_stamp, stamp_of
from kip.errors import KipError, RegistryRefused, RegistryUnavailable
from kip.keeper.refresher import Refresher

CREATED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
LATER = CREATED + timedelta(hours=2)
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
IMAGE = "registry.example/x:latest"
CHOSEN = settings(f"x={IMAGE}")


class Registry:
    """Answers what it is told to, and counts the questions."""

    def __init__(self, answer: str | KipError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, _settings, images, _credentials):
        self.asked.append(tuple(images))
        return dict.fromkeys(images, self.answer)


class World:
    """A refresher with a clock that is moved by hand."""

    def __init__(self, answer: str | KipError, known: str = OLD) -> None:
        self.time = LATER
        self.registry = Registry(answer)
        self.refresher = Refresher(lambda: self.time, self.registry, start=lambda work: work())
        self.cache = stored(manifest(f"x={IMAGE}"))
        if known:
            stamp = new_stamp(CREATED, {IMAGE: known})
            annotations = {REFRESHED_AT: stamp.refreshed_at, DIGESTS: stamp.digests}
            self.cache["spec"]["template"]["metadata"]["annotations"] = annotations

    def rolls(self, chosen=CHOSEN, seen=None) -> bool:
        with capture_logs():
            stamp = self.refresher.stamp(chosen, self.cache, lambda: (), lambda: seen or {})
        return stamp != stamp_of(self.cache)


@pytest.mark.parametrize(
    ("answer", "rolls"),
    [(NEW, True), (OLD, False), (RegistryUnavailable("down"), False), (RegistryRefused("who are you"), True)],
)
def test_a_due_refresh_rolls_only_if_a_tag_moved_or_cannot_be_told(answer, rolls):
    assert World(answer).rolls() is rolls


def test_before_it_is_due_no_registry_is_asked():
    it = World(NEW)
    it.time = CREATED + timedelta(minutes=59)
    it.rolls()
    assert it.registry.asked == []


def test_after_an_answer_of_nothing_new_the_registry_is_left_alone_for_an_interval():
    it = World(OLD)
    it.rolls()
    it.time += timedelta(minutes=59)
    it.rolls()
    assert len(it.registry.asked) == 1


def test_a_registry_that_is_away_is_asked_again_after_a_minute():
    it = World(RegistryUnavailable("down"))
    it.rolls()
    it.registry.answer = NEW
    it.time += timedelta(seconds=61)
    assert it.rolls()


def test_a_pause_that_a_registry_asks_for_is_kept():
    it = World(RegistryUnavailable("busy", retry_after=600.0))
    it.rolls()
    it.time += timedelta(minutes=9)
    it.rolls()
    assert len(it.registry.asked) == 1


def test_the_first_refresh_compares_with_what_runs_on_the_nodes():
    it = World(OLD, known="")
    assert not it.rolls(seen={IMAGE: frozenset({OLD})})


def test_always_means_without_asking():
    it = World(OLD)
    rolls = it.rolls(settings(f"x={IMAGE}", REFRESH="always"))
    assert (rolls, it.registry.asked) == (True, [])


def test_a_decision_stands_until_the_pods_carry_it():
    it = World(NEW)
    stamps = set()
    for _ in range(3):
        with capture_logs():
            stamps.add(it.refresher.stamp(CHOSEN, it.cache, lambda: (), dict))
        it.time += timedelta(seconds=1)
    assert len(stamps) == 1


def test_while_a_registry_thinks_nothing_waits_for_it():
    it = World(NEW)
    it.refresher.start = lambda _work: None
    assert not it.rolls()


def test_an_answer_wakes_the_loop():
    woken = []
    it = World(NEW)
    it.refresher.answered = lambda: woken.append(True)
    it.rolls()
    assert woken == [True]


def test_an_answer_about_an_earlier_list_is_not_used():
    it = World(NEW)
    pending = []
    it.refresher.start = pending.append
    it.rolls()
    other = settings("y=registry.example/y:latest")
    it.rolls(other)
    pending[0]()
    assert not it.rolls(other)


def test_a_shorter_interval_counts_at_once():
    world = World(OLD)
    world.rolls()
    world.time += timedelta(minutes=3)
    hourly = world.refresher.next_at(CHOSEN, world.cache)
    soon = world.refresher.next_at(settings(f"x={IMAGE}", CACHING_INTERVAL_HOURS="2m"), world.cache)
    assert (hourly > world.time, soon <= world.time) == (True, True)


def test_a_refresh_in_the_future_is_none():
    world = World(NEW)
    stamp = new_stamp(LATER + timedelta(days=300), {IMAGE: OLD})
    annotations = {REFRESHED_AT: stamp.refreshed_at, DIGESTS: stamp.digests}
    world.cache["spec"]["template"]["metadata"]["annotations"] = annotations
    assert world.rolls()


def test_what_was_found_while_a_clock_was_ahead_is_forgotten():
    world = World(OLD)
    world.time += timedelta(days=365)
    world.rolls()
    world.time -= timedelta(days=365)
    world.registry.answer = NEW
    assert world.rolls()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (NEW, "moved"),
        (OLD, "unmoved"),
        (RegistryUnavailable("down"), "postponed"),
        (RegistryRefused("who are you"), "unknown"),
    ],
)
def test_each_decision_is_told(answer, outcome):
    it, told = World(answer), []
    it.refresher.judged = told.append
    it.rolls()
    assert told == [outcome]


def test_a_refresh_that_asks_nobody_is_told_once_as_unknown():
    it, told = World(NEW), []
    it.refresher.judged = told.append
    always = settings(f"x={IMAGE}", REFRESH="always")
    it.rolls(always)
    it.rolls(always)
    assert told == ["unknown"]
