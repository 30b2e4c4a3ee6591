"""What wakes the loop."""

from kip.keeper import triggers as module
from kip.keeper.triggers import Triggers


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
