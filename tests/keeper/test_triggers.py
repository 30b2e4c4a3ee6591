"""What wakes the loop."""

from random import Random

import pytest

from kip.cluster.api import DAEMONSETS, EVENTS, WatchEvent
from kip.keeper import triggers as module
from kip.keeper.triggers import Triggers, Watches


def woken(monkeypatch, *reasons: str) -> tuple[str, ...]:
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.0)
    triggers = Triggers()
    for reason in reasons:
        triggers.wake(reason)
    return triggers.wait(0.0)


def test_nothing_came(monkeypatch):
    assert woken(monkeypatch) == ()


def test_reasons_that_come_together_are_taken_together(monkeypatch):
    assert woken(monkeypatch, "watch", "interval") == ("interval", "watch")


def test_a_reason_that_came_often_counts_once(monkeypatch):
    assert woken(monkeypatch, "watch", "watch", "watch") == ("watch",)


def test_what_was_taken_does_not_come_again(monkeypatch):
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.0)
    triggers = Triggers()
    triggers.wake("watch")
    triggers.wait(0.0)
    assert triggers.wait(0.0) == ()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, "daemonset_changed"),
        (WatchEvent("MODIFIED", {}), "daemonset_changed"),
        (WatchEvent("DELETED", {}), "daemonset_deleted"),
    ],
)
def test_a_watched_change_wakes_the_loop(monkeypatch, event, reason):
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.0)
    triggers = Triggers()
    Watches(None, triggers, lambda: 0.0, Random(1))._seen(DAEMONSETS, event)
    assert triggers.wait(0.0) == (reason,)


def test_a_watch_that_breaks_off_wakes_the_loop(monkeypatch):
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.0)
    triggers, told = Triggers(), []
    Watches(None, triggers, lambda: 0.0, Random(1), told.append)._interrupted("daemonsets")
    assert (triggers.wait(0.0), told) == (("watch_interrupted",), ["daemonsets"])


def test_what_is_heard_does_not_wake_the_loop(monkeypatch):
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.0)
    triggers, heard = Triggers(), []
    watches = Watches(None, triggers, lambda: 0.0, Random(1), hearers={EVENTS: heard.append})
    for event in (None, WatchEvent("ADDED", {"a": 1}), WatchEvent("DELETED", {"a": 2})):
        watches._seen(EVENTS, event)
    assert (heard, triggers.wait(0.0)) == ([{"a": 1}], ())
