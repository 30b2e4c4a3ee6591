"""What a soak measured: memory of the keepers, requests to the API server, and whether all is well."""

import sys
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

LONG_ENOUGH = 90.0
"""Seconds that a process must have run for its memory to say something."""

MOST_GROWTH_KIB = 8192
"""From the median of a process' second quarter to that of its last: memory goes up in steps of some MiB until
the largest list was read. A leak of one object list a reconcile would be many times that in some minutes."""

MOST_REQUESTS = 400
"""In any 60 seconds. While something goes on the keeper looks every second, at some ten requests each."""

MINUTE = 60.0

RIPE_SECONDS = 5.0
"""A pin that stood for less is told, but is no gap. Between the keeper's look at the pods of a change and the
controller's deed on a busy machine pass some two seconds, in which a pod that is about to go may start one
container more: nobody can know."""


@dataclass
class Memory:
    """Samples of the resident memory of each keeper process: seconds since its start, KiB."""

    samples: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    def sample(self, pid: int, now: float) -> None:
        """Look once. A process that has just ended has no memory."""
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
            found = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
            self.samples.setdefault(pid, []).append((now, found))

    def growths(self) -> list[dict[str, Any]]:
        """Return how the memory of each process that ran for long enough went."""
        return [growth for found in self.samples.values() if (growth := _growth(found))]


def _growth(samples: list[tuple[float, int]]) -> dict[str, Any] | None:
    begin, end = samples[0][0], samples[-1][0]
    if end - begin < LONG_ENOUGH:
        return None
    quarter = (end - begin) / 4

    def of(number: int) -> float:
        low, high = begin + (number - 1) * quarter, begin + number * quarter
        return median(kib for at, kib in samples if low <= at <= high)

    return {"ran_s": round(end - begin), "second_quarter_kib": of(2), "last_quarter_kib": of(4)}


def worst_minute(times: list[float]) -> int:
    """Return the most requests in any 60 seconds."""
    return max((bisect_left(times, at + MINUTE) - number for number, at in enumerate(times)), default=0)


@dataclass
class Journal:
    """What happened when: for people who look at a gap. Written from several threads."""

    begun: float
    file: Path
    entries: list[tuple[float, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, now: float, text: str) -> None:
        """Note it, on the screen and in the file too."""
        line = f"{now - self.begun:7.1f} s  {text}"
        with self._lock:
            self.entries.append((now - self.begun, text))
            print(line, file=sys.stderr, flush=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def around(self, since: float, until: float) -> list[str]:
        """Return what went on then: the events from 30 s before to the end."""
        return [f"{at:.1f} s {text}" for at, text in self.entries if since - 30 <= at <= until + 1]


@dataclass
class Report:
    """The figures of one soak, and what is wrong with them."""

    seed: int
    rights: str
    minutes: float
    unpinned_seconds: float = 0.0
    counted: int = 0
    gaps: list[dict[str, Any]] = field(default_factory=list)
    young_pins_lost: list[dict[str, Any]] = field(default_factory=list)
    converged_after_s: float | None = None
    missing: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    memory: list[dict[str, Any]] = field(default_factory=list)
    peak_kib: int = 0
    requests: int = 0
    requests_per_minute: float = 0.0
    worst_minute: int = 0
    faults: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def problems(self) -> list[str]:
        """Return what should not be; nothing when all is well."""
        found = list(self.faults)
        if self.gaps or self.unpinned_seconds:
            found.append(f"{self.unpinned_seconds:.3f} unpinned node-seconds in {len(self.gaps)} gaps")
        if self.converged_after_s is None:
            found.append(f"not converged: {self.missing or 'the soak ended early'}")
        found += [
            f"a keeper's memory: {item['second_quarter_kib']:.0f}, then {item['last_quarter_kib']:.0f} KiB"
            for item in self.memory
            if item["last_quarter_kib"] - item["second_quarter_kib"] > MOST_GROWTH_KIB
        ]
        if self.worst_minute > MOST_REQUESTS:
            found.append(f"{self.worst_minute} requests in one minute, more than {MOST_REQUESTS}")
        return found

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the table for people."""
        yield "rights, minutes, seed", f"{self.rights}, {self.minutes:g}, {self.seed}"
        yield "unpinned node-seconds", f"{self.unpinned_seconds:.3f} in {len(self.gaps)} gaps"
        yield f"pins younger than {RIPE_SECONDS:g} s let go", str(len(self.young_pins_lost))
        yield "pins counted at the end", str(self.counted)
        yield (
            "converged",
            "no" if self.converged_after_s is None else f"after {self.converged_after_s:.0f} s of peace",
        )
        yield from ((what, str(count)) for what, count in sorted(self.counts.items()))
        for item in self.memory:
            yield (
                f"memory of a keeper, {item['ran_s']} s",
                f"{item['second_quarter_kib'] / 1024:.1f} then {item['last_quarter_kib'] / 1024:.1f} MiB",
            )
        yield "memory, most", f"{self.peak_kib / 1024:.1f} MiB"
        yield "requests per minute", f"{self.requests_per_minute:.0f}, worst {self.worst_minute}"
        yield "logs", self.logs


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return two columns."""
    listed = list(rows)
    width = max(len(name) for name, _ in listed)
    return "\n".join(f"{name:{width}}  {value}" for name, value in listed)
