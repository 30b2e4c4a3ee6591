"""How long the same thing has been waited for."""

from fakes import Clock

from kip.keeper.waits import Waits


def test_something_new_has_been_waited_for_for_no_time():
    assert Waits(Clock())("a") == 0.0


def test_the_same_thing_is_counted_over_rounds():
    clock = Clock()
    waits = Waits(clock)
    waits("a")
    waits.next_round()
    clock.seconds = 7.0
    assert waits("a") == 7.0


def test_what_a_round_did_not_ask_for_begins_anew():
    clock = Clock()
    waits = Waits(clock)
    waits("a")
    waits.next_round()
    waits.next_round()
    clock.seconds = 7.0
    assert waits("a") == 0.0


def test_progress_begins_the_wait_anew():
    clock = Clock()
    waits = Waits(clock)
    waits("a", 5)
    clock.seconds = 7.0
    waits("a", 4)
    clock.seconds = 9.0
    assert waits("a", 4) == 2.0


def test_what_goes_up_and_down_again_is_no_progress():
    clock = Clock()
    waits = Waits(clock)
    for second, left in enumerate([5, 7, 5, 6, 5]):
        clock.seconds = float(second)
        waits.next_round()
        seconds = waits("a", left)
    assert seconds == 4.0
