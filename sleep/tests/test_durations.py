"""Durations are what Go's time.ParseDuration makes of them."""

import signal
import time

import pytest

HOUR = 3600 * 10**9

# Every row was checked against Go's own time.ParseDuration.
LONG = [
    ("720h", 720 * HOUR),
    ("1h30m", HOUR + HOUR // 2),
    ("1.5h", HOUR + HOUR // 2),
    ("+1h", HOUR),
    ("1h1m1s1ms1us1ns", HOUR + 61_001_001_001),
    ("30m1h", HOUR + HOUR // 2),
    ("3600s", HOUR),
    ("3600000ms", HOUR),
    ("3600000000us", HOUR),
    ("3600000000µs", HOUR),  # U+00B5, micro sign
    ("3600000000μs", HOUR),  # U+03BC, Greek mu
    ("3600000000000ns", HOUR),
    ("01h", HOUR),
    ("1.h", HOUR),
    (".5h", HOUR // 2),
    ("0.3333333333333333333h", 1_200_000_000_000),
    ("0.100000000000000000000h", 360_000_000_000),
    ("1000.0000000019h", 1000 * HOUR + 6840),
    ("9223372036854775807ns", 2**63 - 1),
    ("2562047h47m16.854775807s", 2**63 - 1),
]

SHORT = [
    "0",
    "+0",
    "-0",
    "0s",
    "-1h",
    "-720h",
    "-9223372036854775808ns",
    "1ns",
    "1us",
    "1µs",
    "1ms",
    "0.4ns",
    ".001s",
]

REFUSED = [
    "",
    " ",
    "1",
    "10",
    "+",
    "-",
    ".",
    ".s",
    "s",
    "-.s",
    "10d",
    "1w",
    "1H",
    "1 h",
    " 1h",
    "1h ",
    "1h30",
    "1.5.5h",
    "1e3s",
    "0x1s",
    "--1h",
    "+-1h",
    "1hh",
    "infinity",
    "1\u00b5",
    "9223372036854775808ns",
    "9223372036854775807ns1ns",
    "2562047h47m16.854775808s",
    "2562048h",
    "9223372036854775809ns",
    "-9223372036854775809ns",
    "99999999999999999999999h",
    "18446744073709551617ns",
]


@pytest.mark.parametrize(("text", "nanoseconds"), LONG)
def test_a_duration_is_waited_for_to_the_nanosecond(start, text, nanoseconds):
    sleeper = start(text)

    assert nanoseconds == sleeper.planned_nanoseconds()
    assert sleeper.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("text", SHORT)
def test_a_duration_that_is_over_at_once_ends_with_success(run, text):
    result = run(text)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("text", REFUSED)
def test_what_go_refuses_is_wrong_use(run, text):
    result = run(text)

    assert result.returncode == 255
    assert result.stdout == ""
    assert result.stderr.startswith(f'sleep: "{text}" is no duration: ')
    assert "Usage: sleep DURATION" in result.stderr


@pytest.mark.parametrize("text", ["50ms", "0.05s", "50000us", "1ms49ms"])
def test_the_wait_is_not_shorter_than_asked(run, text):
    began = time.monotonic()

    assert run(text).returncode == 0
    assert time.monotonic() - began >= 0.05


def test_a_stop_and_a_continue_do_not_end_the_wait(start):
    sleeper = start("2h")
    for number in (signal.SIGSTOP, signal.SIGCONT):
        sleeper.process.send_signal(number)
    sleeper.wait_until_asleep()

    assert sleeper.end(signal.SIGTERM) == 0
