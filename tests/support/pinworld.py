"""A simulated cluster, a keeper that may be killed in it, and a witness of every pin."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes import BLIND, EVERYTHING, unasked
from hypothesis import note
from samples import settings
from simulation import Simulation

from kip.core.rollout.bridge import images_of, is_placeholder
from kip.core.rollout.plan_types import Plan
from kip.errors import KipError
from kip.keeper.reconcile import Reconciler

RIGHTS = {"kip's": EVERYTHING, "upstream's": BLIND}
YOUNG = 2
EPOCH = datetime(2026, 11, 21, 8, tzinfo=UTC)


class Killed(BaseException):
    """The keeper's process ends here."""


@dataclass
class World:
    """A simulated cluster, one keeper in it, and a witness of every pin."""

    cluster: Simulation
    names: list[str] = field(default_factory=lambda: ["a"])
    values: dict[str, str] = field(default_factory=dict)
    returning: set[str] = field(default_factory=set)
    coming: set[str] = field(default_factory=set)
    """Nodes that the settings select anew, and the cache not yet."""
    lost: list[tuple] = field(default_factory=list)
    kill_after: int = -1
    keeper: Reconciler | None = None
    busy: bool = False
    looks: int = 1
    """How often the keeper looks in a second; at its second look no controller has seen its write yet."""
    _since: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster.watcher = self.witness
        record = self.cluster._record

        def recorded(verb, resource):
            if verb in {"create", "apply", "patch", "delete", "orphan"} and self.kill_after >= 0:
                if self.kill_after == 0:
                    self.kill_after = -1
                    raise Killed
                self.kill_after -= 1
            record(verb, resource)

        self.cluster._record = recorded

    def wanted(self) -> set[str]:
        return {image(name) for name in self.names} - self.returning

    def nodes(self) -> set[str]:
        """Return the nodes that the settings and the cache select."""
        return set(self.selected) - self.coming

    @property
    def ill(self) -> set[str]:
        """Return the nodes that pin nothing, whatever kip does."""
        return self.cluster.away.keys() | self.cluster.refusing

    @property
    def selected(self) -> list[str]:
        return re.findall(r"node\d+", self.values.get("AFFINITY", "")) or self.cluster.nodes

    def witness(self) -> None:
        """Note what was let go of. A pin of a second or two may: its pod is still being filled."""
        cache = self.cluster.daemonset(self.name)
        self.returning -= images_of(cache) if cache else set()
        if cache:
            self.coming -= set(self.cluster.selected(cache))
        wanted, pins, now, nodes = self.wanted(), self.pins(), self.cluster.time, self.nodes()
        held = {(node, item) for node in nodes for item in pins[node] & wanted}
        gone = {
            key
            for key, since in self._since.items()
            if key not in held and now - since > YOUNG and key[0] in nodes - self.ill
        }
        if lost := sorted(key for key in gone if key[1] in wanted):
            self.lost.append((now, lost))
        self._since = {key: self._since.get(key, now) for key in held}

    def pins(self) -> dict[str, set[str]]:
        """Return the pins but those that a cache of an earlier name is letting go of as it was told to.

        Nobody writes to it any more, so what is listed again meanwhile is kept by the cache of the new name.
        One that is a holder was told nothing: it has adopted what it found.
        """
        lists = {
            found["metadata"]["uid"]: images_of(found)
            for (kind, _, name), found in self.cluster.objects.items()
            if kind == "DaemonSet" and name != self.name and not is_placeholder(found)
        }
        pinned: dict[str, set[str]] = {node: set() for node in self.cluster.nodes}
        for pod in self.cluster.pods:
            if pod.node not in self.cluster.away:
                pinned[pod.node] |= pod.pins & lists.get(pod.owner, pod.pins)
        return pinned

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.cluster.time)

    def second(self) -> None:
        """Let the keeper look, and a second pass."""
        self.keeper = self.keeper or Reconciler(
            self.cluster, self.now, lambda: float(self.cluster.time), unasked(self.now)
        )
        listed = ";".join(f"{name}={image(name)}" for name in self.names)
        chosen = settings(listed, REFRESH="never", DEPLOYMENT_NAME="kubernetes-image-puller", **self.values)
        self.busy = True
        try:
            for _ in range(self.looks):
                self.busy = self.keeper.reconcile(chosen).plan != Plan()
        except Killed:
            self.keeper = None
        except KipError as error:
            note(f"{self.cluster.time}: {error}")
        self.witness()
        self.cluster.tick()

    def edit(self, names: list[str], **values: str) -> None:
        """Change the settings. What was not wanted so far may be on its way out: it counts when listed."""
        self.returning |= {image(name) for name in set(names) - set(self.names)}
        before = set(self.selected)
        self.names, self.values = names, {**self.values, **values}
        self.coming |= set(self.selected) - before
        self._since = {key: since for key, since in self._since.items() if key[1] in self.wanted()}

    def happen(self, what: str, value: Any) -> None:
        """Let something happen to the settings, to the keeper or to the cluster."""
        setting = {"limit": "CACHING_MEMORY_LIMIT", "surge": "MAX_SURGE", "name": "DAEMONSET_NAME"}
        match what:
            case "edit":
                self.edit(value)
            case "limit" | "surge" | "name":
                self.edit(self.names, **{setting[what]: value})
            case "nodes":
                self.edit(self.names, AFFINITY=affinity(*value))
            case "sleeper":
                self.edit(self.names, KIP_IMAGE=image(value))
            case "kill":
                self.kill_after = value
            case "wait":
                self.run(value)
            case _:
                self._disturb(what, value)

    def _disturb(self, what: str, value: Any) -> None:
        match what:
            case "registry":
                self.cluster.registry_away = value
            case "hand":
                self.cluster.edit_surge(self.name, value)
            case "dies":
                self.cluster.die(value)
            case "revives":
                self.cluster.revive(value)
            case "full":
                self.cluster.refusing.add(value)
            case "controller":
                self.cluster.controlled = value
            case "freed":
                self.cluster.refusing.discard(value)

    @property
    def name(self) -> str:
        return self.values.get("DAEMONSET_NAME", "kubernetes-image-puller")

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second()

    def calm_down(self, seconds: int) -> None:
        """Go on until nothing happens any more, or for so many seconds."""
        quiet, before = 0, None
        for _ in range(seconds):
            self.second()
            now = [(pod.name, dict(pod.containers)) for pod in self.cluster.pods]
            quiet = quiet + 1 if now == before and not self.busy else 0
            before = now
            if quiet > 5:
                return

    def daemonsets(self) -> list[str]:
        return [name for kind, _, name in self.cluster.objects if kind == "DaemonSet"]


def image(name: str) -> str:
    return f"registry.example/{name}:1.0.0"


def affinity(*nodes: str) -> str:
    """Return the setting that selects these nodes; without any, all."""
    terms = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return json.dumps({"nodeAffinity": required} if nodes else {})


def world(rights: str, room: int = 9, nodes: int = 3) -> World:
    return World(Simulation(nodes, RIGHTS[rights], room))
