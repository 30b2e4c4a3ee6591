"""What goes wrong around a keeper during a soak: small classes that begin something and end it again.

A new one needs a `name`, how long it `lasts`, `start` and `stop`, and a place in `of_the_cluster` or, if it
is a fault of the API as the keeper sees it, in `of_the_api`.
"""

from contextlib import ExitStack
from typing import Protocol

from faultproxy import Drop, Fault, FaultProxy, Hang, status
from pins import Pins
from realcluster import eventually, get, hack


class Disturbance(Protocol):
    """Something that goes wrong for a while. `start` and `stop` come from one thread, and may take long."""

    name: str
    lasts: tuple[float, float]
    """Seconds, at least and at most."""

    def start(self) -> None:
        """Begin it; what fails here fails the soak."""

    def stop(self) -> None:
        """End it, and leave nothing of it."""


class NodeDies:
    """A node dies with all that runs on it, and comes back once the control plane has noticed."""

    lasts = (25.0, 60.0)

    def __init__(self, node: str, pins: Pins) -> None:
        self.name = f"{node} away"
        self._node, self._pins = node, pins

    def start(self) -> None:
        """Kill it, and wait until it is known to be away."""
        self._pins.died(self._node)
        hack("cluster", "node", "stop", self._node)
        eventually(lambda: not self._ready(), f"{self._node} known to be away", seconds=120)

    def stop(self) -> None:
        """Start it again."""
        self._pins.revives(self._node)
        hack("cluster", "node", "start", self._node)

    def _ready(self) -> bool:
        conditions = get("node", self._node)["status"]["conditions"]
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


class RegistryAway:
    """No registry: connections are refused."""

    name = "registry away"
    lasts = (3.0, 40.0)

    def start(self) -> None:
        """Stop it."""
        hack("cluster", "registry", "stop")

    def stop(self) -> None:
        """Start it again."""
        hack("cluster", "registry", "start")


class ApiFault:
    """The API server, as the keeper sees it, has a fault; connections that there are break."""

    lasts = (3.0, 20.0)

    def __init__(self, name: str, proxy: FaultProxy, fault: Fault) -> None:
        self.name = name
        self._proxy, self._fault, self._on = proxy, fault, ExitStack()

    def start(self) -> None:
        """Answer everything so."""
        self._on.enter_context(self._proxy.fault(self._fault))
        self._proxy.break_connections()

    def stop(self) -> None:
        """Let the API server answer again."""
        self._on.close()


def of_the_api(proxy: FaultProxy) -> list[Disturbance]:
    """Return faults of the API behind which the API server itself is well."""
    return [
        ApiFault("API busy", proxy, status(429, Retry_After="3")),
        ApiFault("API failing", proxy, status(500)),
        ApiFault("API cut off", proxy, Drop()),
        ApiFault("API silent", proxy, Hang()),
    ]


def of_the_cluster(nodes: list[str], pins: Pins) -> list[Disturbance]:
    """Return what hack/cluster can do; only one of the nodes dies, so that there is always another."""
    return [RegistryAway(), NodeDies(nodes[-1], pins)]
