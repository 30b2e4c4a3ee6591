"""Objects of one selection as last heard of: a list, then a watch, in a thread of its own."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any, Generic, TypeVar

from kip.cluster.api import Cluster, Selection
from kip.cluster.watch import Retries, events_after
from kip.errors import Forbidden, KipError, NotFound, Unauthorized

Manifest = dict[str, Any]
T = TypeVar("T")


class Shelf(Generic[T]):
    """Keeps what `read` makes of each object of a selection, by namespace and name.

    `woken` is called when something changed: not for a node that only says that it is alive. `clock` is
    monotonic seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        selection: Selection,
        read: Callable[[Manifest], T],
        woken: Callable[[], None],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._cluster, self._selection, self._read = cluster, selection, read
        self._woken, self._clock, self._random = woken, clock, random
        self._items: dict[tuple[str, str], T] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.complete = False
        """Whether they have been listed once."""

        self.refused: KipError | None = None
        """Why they may not be listed, or cannot be (404), as of the newest attempt; None otherwise."""

        self.changes = 0
        """How often something changed."""

    def start(self) -> None:
        """Begin to follow them."""
        selection = self._selection
        name = f"shelf {selection.namespace}/{selection.resource.plural}"
        threading.Thread(target=self._follow_for_ever, name=name, daemon=True).start()

    def stop(self) -> None:
        """Follow them no more; nothing is logged from now on."""
        self._stopped.set()

    def items(self) -> tuple[T, ...]:
        """Return them all."""
        with self._lock:
            return tuple(self._items.values())

    def _follow_for_ever(self) -> None:
        Retries(self._selection, self._stopped, self._clock, self._random).for_ever(self._follow)

    def _follow(self) -> None:
        stopped = self._stopped.is_set
        try:
            version = self._list()
            for event in events_after(self._cluster, self._selection, version, self._clock, stopped):
                self._take(event.type, event.object)
        except (Forbidden, NotFound, Unauthorized) as error:
            self.refused = error
            self._woken()
            raise

    def _list(self) -> str:
        found: dict[tuple[str, str], T] = {}
        version = ""
        # Nodes are big: of thousands only what is read of them is kept.
        for page in self._cluster.pages(self._selection):
            found |= {_key(item): self._read(item) for item in page.items}
            version = page.version
        with self._lock:
            self._items, self.complete, self.refused = found, True, None
            self.changes += 1
        self._woken()
        return version

    def _take(self, kind: str, item: Manifest) -> None:
        key = _key(item)
        with self._lock:
            if kind == "DELETED":
                changed = self._items.pop(key, None) is not None
            else:
                view = self._read(item)
                changed = self._items.get(key) != view
                self._items[key] = view
            self.changes += changed
        if changed:
            self._woken()


def _key(item: Manifest) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
