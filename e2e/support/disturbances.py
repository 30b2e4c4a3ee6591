"""What goes wrong around a keeper during a soak: small classes that begin something and end it again.

A new one needs a `name`, how long it `lasts`, `start` and `stop`, and a place in `of_the_cluster`; or it is
handed to `soak.Soak(disturbances=...)`. For faults of the API a proxy is put before the keeper by
`soak.Soak(through=...)`, which maps its kubeconfig to another.
"""

from typing import Protocol

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


def of_the_cluster(nodes: list[str], pins: Pins) -> list[Disturbance]:
    """Return what hack/cluster can do; only one of the nodes dies, so that there is always another."""
    return [RegistryAway(), NodeDies(nodes[-1], pins)]
