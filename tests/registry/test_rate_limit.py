import threading
from contextlib import ExitStack

from kip.registry.rate_limit import MOST_IN_FLIGHT, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def left(politeness: RateLimiter, host: str = "a") -> float:
    with politeness.turn(host) as pause:
        return pause


def test_a_host_is_left_alone_until_its_time_is_over():
    clock = Clock()
    politeness = RateLimiter(clock)
    politeness.rest("a", 30)
    assert (left(politeness), left(politeness, "b")) == (30.0, 0.0)
    clock.now += 30
    assert left(politeness) == 0.0


def test_the_longer_of_two_pauses_counts():
    politeness = RateLimiter(Clock())
    politeness.rest("a", 30)
    politeness.rest("a", 10)
    assert left(politeness) == 30.0


def test_a_fifth_request_to_a_host_waits_for_its_turn_and_sees_the_pause_of_then():
    politeness, seen, entered = RateLimiter(Clock()), [], threading.Event()

    def fifth() -> None:
        seen.append(left(politeness))
        entered.set()

    with ExitStack() as turns:
        for _ in range(MOST_IN_FLIGHT - 1):
            turns.enter_context(politeness.turn("a"))
        with politeness.turn("a"):
            thread = threading.Thread(target=fifth)
            thread.start()
            assert left(politeness, "b") == 0.0
            assert not entered.wait(0.05)
            politeness.rest("a", 30)
        assert entered.wait(5)
        thread.join()
    assert seen == [30.0]
