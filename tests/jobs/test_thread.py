"""The thread that jobs are run in."""

import queue

import pytest

from kip.jobs import thread as module
from kip.jobs.thread import JobsThread


class Rounds:
    """A controller whose rounds are told; what `raises` holds is raised by the first one."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.raises = raises

    def round(self) -> float:
        self.begun.put("round")
        if self.raises:
            error, self.raises = self.raises, None
            raise error
        return 3600.0

    def stop(self) -> None:
        self.begun.put("stop")


@pytest.fixture
def thread_of(monkeypatch):
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(module, "AFTER_A_FAULT_SECONDS", 0.0)
    made = []

    def make(rounds: Rounds) -> JobsThread:
        def controller(woken):
            rounds.woken = woken
            return rounds

        made.append(JobsThread(controller, lambda: 0.0))
        return made[-1]

    yield make
    for thread in made:
        thread.stop(10)


def test_a_change_wakes_it_and_a_stop_ends_it(thread_of):
    rounds = Rounds()
    thread = thread_of(rounds)
    thread.start()
    assert rounds.begun.get(timeout=10) == "round"
    rounds.woken()
    assert rounds.begun.get(timeout=10) == "round"
    thread.stop(10)
    assert rounds.begun.get(timeout=10) == "stop"


def test_a_fault_does_not_end_it(thread_of):
    rounds = Rounds(raises=RuntimeError("a fault"))
    thread_of(rounds).start()
    assert [rounds.begun.get(timeout=10) for _ in range(2)] == ["round", "round"]


def test_it_can_be_stopped_before_it_began(thread_of):
    thread_of(Rounds()).stop(10)
