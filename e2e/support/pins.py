"""The pin observer as tests use it: `with witness(namespace) as pins: ...; pins.want(...); pins.lost()`."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from realcluster import eventually

OBSERVER = Path(__file__).with_name("pin_observer.py")


class Pins:
    """Talks to the observer's process; from any thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def want(self, images: Iterable[str]) -> None:
        """From now on these images must not lose a pin that they have."""
        self._ask({"want": sorted(images)})

    def died(self, node: str) -> None:
        """Tell that this node is being ended with all its containers: it counts no more."""
        self._ask({"died": node})

    def revives(self, node: str) -> None:
        """Tell that this node is about to be started again."""
        self._ask({"revives": node})

    def report(self) -> dict[str, Any]:
        """Return everything the observer knows."""
        return self._ask({"report": True})

    def everywhere(self, images: Iterable[str], nodes: Iterable[str]) -> bool:
        """Whether each of these nodes has each of these images pinned."""
        pinned = self.report()["pinned"]
        return all(set(images) <= set(pinned.get(node, ())) for node in nodes)

    def wait_for(self, images: Iterable[str], nodes: Iterable[str], *, seconds: float = 90) -> None:
        """Wait until each of these nodes has each of these images pinned."""
        chosen, places = list(images), list(nodes)
        eventually(lambda: self.everywhere(chosen, places), f"{chosen} pinned on {places}", seconds=seconds)

    def lost(self) -> dict[str, dict[str, float]]:
        """Return the unpinned seconds by image and node: empty when nothing was ever lost."""
        return self.report()["seconds"]

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@contextmanager
def witness(*namespaces: str, ripe: float = 0.0) -> Iterator[Pins]:
    """Start an observer of these namespaces, and end it. A pin counts once it is `ripe` seconds old."""
    command = [sys.executable, str(OBSERVER), *namespaces, "--ripe", str(ripe)]
    # A session of its own, so that its watches end with it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Pins(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
