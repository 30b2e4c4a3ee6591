"""Every stop signal ends the sleeper at once and with success, also as process 1."""

import os
import signal
import subprocess
import time

import pytest

NOT_ENDING = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT}
# As the kernel counts them; systemd's images name 37, SIGRTMIN+3 there. The C library keeps 32 and 33.
ENDING = sorted(set(range(1, 65)) - {int(number) for number in NOT_ENDING} - {32, 33})
STOP_SIGNALS = [
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGPWR,
    37,
]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_wait_with_success(start, number):
    assert start("720h").end(number) == 0


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_ends_process_1_with_success(start_as_process_1, number):
    assert start_as_process_1("720h").end(number) == 0


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_that_was_set_to_be_ignored_ends_the_wait(start, number):
    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    assert start("720h", preexec_fn=ignore).end(number) == 0


def test_a_child_that_dies_does_not_end_the_wait(start):
    sleeper = start("720h")
    os.kill(sleeper.pid, signal.SIGCHLD)
    sleeper.wait_until_asleep()

    assert sleeper.end(signal.SIGTERM) == 0


def test_process_1_buries_the_orphans_it_inherits(start_as_process_1):
    sleeper = start_as_process_1("720h")
    reader, writer = os.pipe()
    orphan = "exec 3<&0; cat <&3 & exit 0"  # lives until the pipe is closed, its parent does not
    subprocess.run(["nsenter", "-t", str(sleeper.pid), "-p", "sh", "-c", orphan], stdin=reader, check=True)
    os.close(reader)
    assert len(sleeper.children()) == 1

    os.close(writer)
    deadline = time.monotonic() + 20
    while sleeper.children():
        assert time.monotonic() < deadline, "a dead child stays"
        os.sched_yield()
    assert sleeper.end(signal.SIGTERM) == 0
