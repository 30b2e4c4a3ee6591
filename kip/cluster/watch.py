"""Watching in layers: one request (the client's), one after the other, list and follow, and for ever."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import structlog

from kip.cluster.api import EVENTS, Cluster, Selection, WatchEvent
from kip.cluster.backoff import backoff
from kip.errors import ApiError, Gone, InternalError, KipError

WATCH_SECONDS = 300
"""How long one watch request lasts. The server would end it after 30 to 60 minutes."""

QUIET_WATCH_SECONDS = 90
"""Where no bookmarks come: shorter than the silence after which a connection counts as broken."""

QUIET_SECONDS = 1.0
"""A watch that ends so soon, without a single event, is treated as a failure: never a hot loop."""

PROVEN_SECONDS = 60.0
"""What worked for so long is healthy: when it fails, that is the first failure, also if nothing happened."""

log = structlog.get_logger()


def events_after(
    cluster: Cluster,
    selection: Selection,
    version: str,
    clock: Callable[[], float],
    stopped: Callable[[], bool],
) -> Iterator[WatchEvent]:
    """Yield every event after a version, bookmarks left out, until it is `stopped` or something fails.

    The end of a watch request is no failure: the next goes on from the last version seen. Raises Gone when
    that version is too old, and any other ApiError as it comes.
    """
    quiet = selection.resource is EVENTS
    while not stopped():
        began, before = clock(), version
        for event in cluster.watch(selection, version, QUIET_WATCH_SECONDS if quiet else WATCH_SECONDS):
            version = event.version or version
            if stopped():
                return
            if event.type != "BOOKMARK":
                yield event
        if version == before and clock() - began < QUIET_SECONDS:
            raise Gone("the watch ended at once")
        if quiet:
            # Of Events the API server sends no bookmarks: an old version would soon be one that is gone.
            version = next(cluster.pages(selection)).version


def follow(
    cluster: Cluster, selection: Selection, clock: Callable[[], float], stopped: Callable[[], bool]
) -> Iterator[WatchEvent | None]:
    """Yield None once it begins, then every event, as `events_after` does."""
    # A page tells the version of all; there may be many thousands of Events.
    version = next(cluster.pages(selection)).version
    yield None
    yield from events_after(cluster, selection, version, clock, stopped)


@dataclass(slots=True)
class Retries:
    """What follows a selection is begun anew whenever it is interrupted, until `stop` is set.

    Each failure is logged and waited for, longer and longer; `failures` counts those in a row. `restarted` is
    told of the resource. Once `stop` is set nothing is called or logged any more.
    """

    selection: Selection
    stop: threading.Event
    clock: Callable[[], float]
    random: Random
    restarted: Callable[[str], None] = lambda _resource: None
    failures: int = 0

    def for_ever(self, attempt: Callable[[], None]) -> None:
        """Make attempts, for ever. The outermost frame of a thread."""
        while not self.stop.is_set():
            began = self.clock()
            try:
                attempt()
            except ApiError as error:
                self._wait_after(error, began)
            except Exception as error:  # noqa: BLE001 - a thread must not just end
                self._wait_after(InternalError(error), began)

    def _wait_after(self, interruption: KipError, began: float) -> None:
        if self.stop.is_set():
            return
        self.failures = 0 if self.clock() - began > PROVEN_SECONDS else self.failures
        seconds = backoff(interruption, self.failures, self.random)
        self.failures += 1
        self.restarted(self.selection.resource.plural)
        log.warning(
            "watch_interrupted",
            resource=self.selection.resource.plural,
            namespace=self.selection.namespace or None,
            name=self.selection.name or None,
            error=str(interruption),
            failures=self.failures,
            retry_in_s=round(seconds, 1),
        )
        self.stop.wait(seconds)


def watch_for_ever(
    cluster: Cluster,
    selection: Selection,
    seen: Callable[[WatchEvent | None], None],
    *,
    stop: threading.Event,
    clock: Callable[[], float],
    random: Random,
    restarted: Callable[[str], None] = lambda _resource: None,
) -> None:
    """Call `seen` with each change of the selection, until `stop` is set; retry errors with back-off.

    It is called with None where changes may have been missed, which is so whenever the watch begins.

    Once it is set nothing is called or logged any more. `restarted` is told of the resource whose watch broke
    off.
    """
    retries = Retries(selection, stop, clock, random, restarted)

    def attempt() -> None:
        for event in follow(cluster, selection, clock, stop.is_set):
            if stop.is_set():
                return
            # A list alone proves nothing about the watch: only an event does, or that it lasts.
            retries.failures = 0 if event else retries.failures
            seen(event)

    retries.for_ever(attempt)
