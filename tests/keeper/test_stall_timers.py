"""How long the same thing has been waited for."""

from contextlib import suppress

import pytest
from fakes import Clock

from kip.keeper.stall_timers import StallTimers


@pytest.fixture
def clock():
    return Clock()


def asked(waits: StallTimers, key: str = "a", left: int = 0) -> float:
    """Ask once, in a round of its own."""
    with waits.round():
        return waits(key, left)


def test_something_new_has_been_waited_for_for_no_time(clock):
    assert asked(StallTimers(clock)) == 0.0


def test_the_same_thing_is_counted_over_rounds(clock):
    waits = StallTimers(clock)
    asked(waits)
    clock.seconds = 7.0
    assert asked(waits) == 7.0


def test_what_a_round_did_not_ask_for_begins_anew(clock):
    waits = StallTimers(clock)
    asked(waits)
    asked(waits, "b")
    clock.seconds = 7.0
    assert asked(waits) == 0.0


def test_a_round_that_fails_ends_no_wait(clock):
    waits = StallTimers(clock)
    asked(waits)
    with suppress(KeyError), waits.round():
        raise KeyError
    clock.seconds = 7.0
    assert asked(waits) == 7.0


def test_progress_begins_the_wait_anew(clock):
    waits = StallTimers(clock)
    asked(waits, left=5)
    clock.seconds = 7.0
    asked(waits, left=4)
    clock.seconds = 9.0
    assert asked(waits, left=4) == 2.0


def test_what_goes_up_and_down_again_is_no_progress(clock):
    waits = StallTimers(clock)
    for second, left in enumerate([5, 7, 5, 6, 5]):
        clock.seconds = float(second)
        seconds = asked(waits, left=left)
    assert seconds == 4.0
