"""The controller in a thread of its own: jobs can neither delay nor break the keeping of the cache."""

import threading
from collections.abc import Callable

import structlog

from kip.jobs.controller import Controller

GATHER_SECONDS = 0.2
"""Changes that come together are looked at together."""

SHARE_OF_TIME = 0.5
"""A round is followed by a pause of so many times its own computing time at least, so that the loop of the
cache has its share; waiting for the API server takes nothing from it."""

AFTER_A_FAULT_SECONDS = 10.0

log = structlog.get_logger()


class JobsThread:
    """Runs rounds until it is stopped. `computed` tells the seconds that the calling thread has computed."""

    def __init__(
        self, make: Callable[[Callable[[], None]], Controller], computed: Callable[[], float]
    ) -> None:
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._controller = make(self._changed.set)
        self._computed = computed
        self._thread = threading.Thread(target=self._run, name="pull jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, within so many seconds if it can be; what is under way is gone on with by the next keeper."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():  # a signal may come before it was started
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = self._computed()
            self._changed.clear()
            try:
                pause = self._controller.round()
            except Exception:  # the outermost frame of its thread: it must not just end
                if not self._stopped.is_set():
                    log.warning("fault", exc_info=True)
                pause = AFTER_A_FAULT_SECONDS
            self._stopped.wait(max(GATHER_SECONDS, (self._computed() - began) * SHARE_OF_TIME))
            self._changed.wait(pause)
        self._controller.stop()
