"""The places where a keeper's users look, and waiting until each of them tells the same."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from realcluster import KIP, command, ended, eventually, get, nodes

SOON = 60.0
"""Seconds; on a quiet machine 10 are enough (docs/status.md has what was measured)."""


@dataclass
class Surfaces:
    """The four places where a keeper's users look: what they tell of one image, or of its nodes."""

    namespace: str
    port: int
    name: str = "bad"
    blind: bool = False
    """The keeper may not look at pods: only `kip status` can tell, with the rights of who calls it."""

    def status(self) -> dict[str, str]:
        """Return state and reason of the image on each node, and what to do, as `kip status` shows it."""
        text = command(str(KIP), "status", "-n", self.namespace, "-o", "json", check=False)
        return {
            cell["node"]: f"{cell['state']} {cell['reason']}: {cell['message']}"
            for cell in json.loads(text)["cells"]
            if cell["name"] == self.name
        }

    def reasons(self, where: Iterable[str]) -> list[str]:
        """Return state and reason of the image on these nodes."""
        found = self.status()
        return [found.get(node, "") for node in where]

    def remedy(self) -> str:
        return command(str(KIP), "status", "-n", self.namespace, check=False)

    def wait(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and words of `kip wait`."""
        end = ended(str(KIP), "wait", "-n", self.namespace, *arguments, timeout=300)
        return end.returncode, end.stdout

    def metrics(self, state: str) -> float:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "kip_cells"
            and sample.labels == {**sample.labels, "name": self.name, "state": state}
        )

    def events(self, reason: str) -> list[str]:
        """Return the notes of the Events that tell of it."""
        found = get("events.events.k8s.io", namespace=self.namespace)
        return [
            event["note"]
            for event in found
            if event["reason"] == reason and event["reportingController"] == "kip.dev/keeper"
        ]

    def page(self) -> list[str]:
        """Return the faults that the page shows, with their remedies."""
        with urlopen(f"http://127.0.0.1:{self.port}/page.json", timeout=5) as answer:
            document = json.load(answer)
        faults = (document["matrix"] or {"faults": []})["faults"]
        return [
            f"{fault['reason']}: {said[0]} {fault['remedy']}"
            for fault in faults
            for said in fault["messages"]
        ]


def soon(look: Callable[[], bool], what: str) -> float:
    """Wait until it is so; return after how many seconds. What cannot be read yet is not so yet."""
    began = time.monotonic()

    def seen() -> bool:
        with suppress(OSError, ValueError, KeyError):
            return look()
        return False

    eventually(seen, what, seconds=SOON)
    return time.monotonic() - began


def sees(
    shown: Surfaces,
    words: str,
    remedy: str,
    *,
    state: str = "failed",
    reason: str = "ImageFailed",
    on: Iterable[str] = (),
) -> None:
    """Wait until each place that can tells it of these nodes, or of all, with what to do."""
    where = [*on] or nodes()
    count = len(where)
    took = {
        "status": soon(
            lambda: sum(told.startswith(state) and words in told for told in shown.reasons(where)) == count,
            f"{state} with {words!r} in status",
        ),
        "remedy": soon(lambda: remedy in shown.remedy(), f"{remedy!r} in status"),
    }
    if not shown.blind:
        took |= _keeper_sees(shown, words, remedy, state, reason, count)
    print("seen after", {place: f"{seconds:.1f} s" for place, seconds in took.items()})


def _keeper_sees(
    shown: Surfaces, words: str, remedy: str, state: str, reason: str, count: int
) -> dict[str, float]:
    return {
        "metrics": soon(lambda: shown.metrics(state) == count, f"{state} in metrics"),
        "events": soon(
            lambda: any(words in note and remedy in note for note in shown.events(reason)),
            f"{words!r} in Events",
        ),
        "page": soon(
            lambda: any(words in fault and remedy in fault for fault in shown.page()),
            f"{words!r} on the page",
        ),
    }


def sees_the_cure(
    shown: Surfaces, words: str, *, reason: str = "ImageRecovered", on: Iterable[str] = ()
) -> None:
    """Wait until no place tells of trouble on these nodes, or on all, any more."""
    count = len([*on] or nodes())
    took = {
        "status": soon(
            lambda: [told.split()[0] for told in shown.status().values()] == ["cached"] * count,
            "the cure in status",
        ),
    }
    if not shown.blind:
        took |= {
            "metrics": soon(lambda: shown.metrics("cached") == count, "the cure in metrics"),
            "events": soon(lambda: any(words in note for note in shown.events(reason)), "the cure in Events"),
            "page": soon(lambda: shown.page() == [], "the cure on the page"),
        }
    print("cured after", {place: f"{seconds:.1f} s" for place, seconds in took.items()})
