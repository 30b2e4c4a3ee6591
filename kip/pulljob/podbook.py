"""The pods of pull jobs as last heard of: one list, one watch, and what kip itself has just created."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from kip.cluster.api import Cluster, Selection
from kip.cluster.watch import Retries, events_after
from kip.errors import ApiError, Forbidden, InternalError, KipError, Unauthorized
from kip.pulljob.pod_view import PodView, read_pod

Manifest = dict[str, Any]
FATAL = (Forbidden, Unauthorized)


class PodBook:
    """Keeps a view of each pod of a selection; `start` begins to follow them, in a thread of its own.

    Pods that are `put` are there at once, also while a list that began before them is under way: a stepper
    must not take for lost what was only not yet listed.
    """

    def __init__(
        self, cluster: Cluster, selection: Selection, clock: Callable[[], float], random: Random
    ) -> None:
        self._cluster, self._selection, self._clock, self._random = cluster, selection, clock, random
        self._pods: dict[str, PodView] = {}
        self._fresh: set[str] | None = None
        self._lock = threading.Lock()
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._fault: KipError | None = None
        self._listed = False

    def start(self) -> None:
        """Begin to follow the pods."""
        name = f"pods {self._selection.namespace}/{self._selection.labels}"
        threading.Thread(target=self._follow_for_ever, name=name, daemon=True).start()

    def stop(self) -> None:
        """Follow them no more."""
        self._stopped.set()
        self.wake()

    def wake(self) -> None:
        """End a wait. Safe in a signal handler."""
        self._changed.set()

    def wait(self, seconds: float) -> None:
        """Wait for a change, for so long at most. Raises what ended the watch for good."""
        self._changed.wait(max(seconds, 0.0))
        self._changed.clear()
        if self._fault:
            raise self._fault

    @property
    def complete(self) -> bool:
        """Whether the pods have been listed."""
        return self._listed

    def views(self) -> tuple[PodView, ...]:
        """Return the pods."""
        with self._lock:
            return tuple(self._pods.values())

    def put(self, pod: Manifest) -> None:
        """Take in a pod as the API server has just answered it, unless the watch knows it already."""
        view = read_pod(pod)
        with self._lock:
            if self._fresh is not None:
                self._fresh.add(view.name)
            if self._pods.get(view.name, view).uid != view.uid or view.name not in self._pods:
                self._pods[view.name] = view

    def _follow_for_ever(self) -> None:
        Retries(self._selection, self._stopped, self._clock, self._random).for_ever(self._follow)

    def _follow(self) -> None:
        """Follow them; give up for good where it never worked, or kip itself is at fault."""
        stopped = self._stopped.is_set
        try:
            version = self._list()
            for event in events_after(self._cluster, self._selection, version, self._clock, stopped):
                self._take(event.type, event.object)
        except FATAL as error:
            # A right that was there may come back, as after a restart of the API server.
            if self._listed:
                raise
            self._end(error)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - who waits for the pods has to hear of it
            self._end(InternalError(error))

    def _end(self, error: KipError) -> None:
        self._fault = error
        self.stop()

    def _list(self) -> str:
        with self._lock:
            self._fresh = set()
        found: dict[str, PodView] = {}
        version = ""
        # Pods are big: of thousands only their views are kept.
        for page in self._cluster.pages(self._selection):
            found |= {view.name: view for view in map(read_pod, page.items)}
            version = page.version
        with self._lock:
            newer = {
                name: self._pods[name] for name in self._fresh if name in self._pods and name not in found
            }
            self._pods, self._fresh, self._listed = found | newer, None, True
        self.wake()
        return version

    def _take(self, kind: str, pod: Manifest) -> None:
        with self._lock:
            view = read_pod(pod)
            if kind != "DELETED":
                self._pods[view.name] = view
            elif view.name in self._pods and self._pods[view.name].uid == view.uid:
                del self._pods[view.name]
        self.wake()
