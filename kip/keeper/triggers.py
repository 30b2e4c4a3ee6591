"""What wakes the reconcile loop: a queue of reasons, filled by watches, timers and the retry of a failure."""

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from kip.cluster.api import Cluster, Resource, Selection, WatchEvent
from kip.cluster.watch import watch_for_ever

Manifest = dict[str, Any]

COALESCE_SECONDS = 0.25
"""Changes that come together are looked at together: one edit is seen within this time and a request."""


class Triggers:
    """Reasons to reconcile. They carry no data, so that many are as good as one."""

    def __init__(self) -> None:
        self._reasons: queue.SimpleQueue[str] = queue.SimpleQueue()

    def wake(self, reason: str) -> None:
        """Ask for a reconcile. Safe from any thread and from a signal handler."""
        self._reasons.put(reason)

    def wait(self, seconds: float) -> tuple[str, ...]:
        """Return the reasons that came, each once, sorted; none when nothing came within `seconds`."""
        try:
            reasons = {self._reasons.get(timeout=max(seconds, 0.0))}
        except queue.Empty:
            return ()
        pause = threading.Event()
        pause.wait(COALESCE_SECONDS)
        while not self._reasons.empty():
            reasons.add(self._reasons.get())
        return tuple(sorted(reasons))


@dataclass(slots=True)
class Watches:
    """One thread for each watched selection, started and stopped as the settings change.

    A change wakes the loop, which reads what it needs itself; but what happens to the resources in `hearers`
    is only told to these. `restarted` is told of the resource whose watch broke off, which wakes too.
    """

    cluster: Cluster
    triggers: Triggers
    clock: Callable[[], float]
    random: Random
    restarted: Callable[[str], None] = lambda _resource: None
    hearers: Mapping[Resource, Callable[[Manifest], None]] = field(default_factory=dict)
    _stops: dict[Selection, threading.Event] = field(default_factory=dict)

    def follow(self, selections: Iterable[Selection]) -> None:
        """Watch exactly these from now on."""
        wanted = set(selections)
        for selection in self._stops.keys() - wanted:
            self._stops.pop(selection).set()
        for selection in wanted - self._stops.keys():
            self._stops[selection] = self._start(selection)

    def _start(self, selection: Selection) -> threading.Event:
        stop = threading.Event()
        threading.Thread(
            target=watch_for_ever,
            args=(self.cluster, selection, partial(self._seen, selection.resource)),
            kwargs={
                "stop": stop,
                "clock": self.clock,
                "random": self.random,
                "restarted": self._interrupted,
            },
            name=f"watch {selection.resource.plural}/{selection.name}",
            daemon=True,  # a watch blocks in a read for minutes; nothing is lost when it just ends
        ).start()
        return stop

    def _interrupted(self, resource: str) -> None:
        # Only a request tells whether the API server is away, which readiness is to show.
        self.restarted(resource)
        self.triggers.wake("watch_interrupted")

    def _seen(self, resource: Resource, event: WatchEvent | None) -> None:
        if hear := self.hearers.get(resource):
            if event and event.type != "DELETED":
                hear(event.object)
            return
        what = "deleted" if event and event.type == "DELETED" else "changed"
        self.triggers.wake(f"{resource.kind.lower()}_{what}")
