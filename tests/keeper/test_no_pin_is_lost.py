"""Whatever is changed, wherever the keeper is killed: no pin is lost that is still wanted."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import EVERYTHING, unasked
from hypothesis import HealthCheck, example, given, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from samples import settings
from simulation import Simulation

from kip.core.rights import Rights, Rule
from kip.core.stand_ins import images_of, is_holder
from kip.core.steps import Plan
from kip.errors import Forbidden, KipError
from kip.keeper.reconcile import Reconciler

UPSTREAMS = Rights(
    (
        Rule(
            frozenset({"create", "delete", "get", "list", "watch"}),
            frozenset({"apps"}),
            frozenset({"daemonsets", "deployments"}),
            frozenset(),
        ),
    )
)
RIGHTS = {"kip's": EVERYTHING, "upstream's": UPSTREAMS}
GOOD = ["a", "b", "c", "d"]
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
            if kind == "DaemonSet" and name != self.name and not is_holder(found)
        }
        pinned: dict[str, set[str]] = {node: set() for node in self.cluster.nodes}
        for pod in self.cluster.pods:
            if pod.node not in self.cluster.away:
                pinned[pod.node] |= pod.pins & lists.get(pod.owner, pod.pins)
        return pinned

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.cluster.time)

    def second(self) -> None:
        """Let the keeper look once, and a second pass."""
        self.keeper = self.keeper or Reconciler(
            self.cluster, self.now, lambda: float(self.cluster.time), unasked(self.now)
        )
        listed = ";".join(f"{name}={image(name)}" for name in self.names)
        chosen = settings(listed, REFRESH="never", DEPLOYMENT_NAME="kubernetes-image-puller", **self.values)
        self.busy = True
        try:
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


lists = some.lists(some.sampled_from([*GOOD, "bad"]), min_size=1, max_size=5, unique=True).filter(
    lambda names: names != ["bad"]
)
changes = some.one_of(
    some.tuples(some.just("edit"), lists),
    some.tuples(some.just("limit"), some.sampled_from(["20Mi", "24Mi", "28Mi"])),
    some.tuples(some.just("surge"), some.sampled_from(["100%", "1", "50%"])),
    some.tuples(
        some.just("nodes"), some.sampled_from([(), ("node1",), ("node1", "node2"), ("node2", "node3")])
    ),
    some.tuples(some.just("kill"), some.integers(0, 4)),
    some.tuples(some.just("registry"), some.booleans()),
    some.tuples(some.just("wait"), some.integers(0, 12)),
    some.tuples(some.just("sleeper"), some.sampled_from(["sleeper", "bad-sleeper"])),
    some.tuples(some.just("hand"), some.sampled_from(["100%", 1, 2])),
    some.tuples(some.just("dies"), some.just("node1")),
    some.tuples(some.just("revives"), some.just("node1")),
    some.tuples(some.just("full"), some.just("node2")),
    some.tuples(some.just("freed"), some.just("node2")),
    some.tuples(some.just("controller"), some.booleans()),
    some.tuples(some.just("name"), some.sampled_from(["kubernetes-image-puller", "other"])),
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rights", RIGHTS)
@given(script=some.lists(changes, min_size=1, max_size=12), room=some.sampled_from([9, 1]))
@example(
    script=[
        ("surge", "1"),
        ("edit", ["d", "c"]),
        ("name", "other"),
        ("surge", "100%"),
        ("limit", "20Mi"),
        ("surge", "1"),
        ("edit", ["b", "a", "bad", "c", "d"]),
    ],
    room=9,
)
@example(
    script=[("edit", ["a", "b", "bad"]), ("wait", 40), ("kill", 1), ("surge", "1"), ("wait", 60)], room=9
)
@example(
    script=[
        ("limit", "20Mi"),
        ("surge", "50%"),
        ("edit", ["a"]),
        ("edit", ["a", "b", "c", "d"]),
        ("dies", "node1"),
        ("limit", "20Mi"),
        ("dies", "node1"),
        ("kill", 1),
        ("hand", 2),
        ("dies", "node1"),
        ("name", "other"),
        ("revives", "node1"),
    ],
    room=1,
)
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
def test_no_change_loses_a_pin(rights, script, room):
    it = world(rights, room)
    it.run(8)
    for what, value in script:
        it.happen(what, value)
        it.second()
    it.calm_down(60)
    assert it.lost == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rights", RIGHTS)
@given(script=some.lists(changes, min_size=1, max_size=8))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20)
def test_after_all_changes_every_good_image_is_everywhere(rights, script):
    it = world(rights)
    for what, value in script:
        if what not in {"limit", "surge", "hand", "registry"}:
            it.happen(what, value)
        it.second()
    it.happen("sleeper", "sleeper")
    it.happen("nodes", ())
    it.happen("revives", "node1")
    it.happen("freed", "node2")
    it.happen("controller", value=True)
    it.calm_down(120)
    good = {image(name) for name in it.names if name != "bad"}
    assert all(good <= images for images in it.cluster.pins().values())


@pytest.mark.parametrize("rights", RIGHTS)
def test_a_change_waits_for_the_net_however_long_the_controller_is_away(rights):
    it = world(rights)
    it.edit(["a", "bad"])
    it.run(20)
    it.happen("controller", value=False)
    it.happen("limit", "28Mi")
    it.run(400)
    it.happen("controller", value=True)
    it.calm_down(60)
    assert it.lost == []


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "bad"]])
def test_a_node_whose_disk_is_full_does_not_use_up_the_limit(names):
    it = world("kip's", nodes=6)
    it.edit(["a"], MAX_SURGE="1")
    it.run(60)
    it.happen("full", "node2")
    it.run(20)
    it.edit(names)
    it.run(60)
    assert {node for node, images in it.cluster.pins().items() if image("b") in images} == {
        f"node{number}" for number in (1, 3, 4, 5, 6)
    }


def test_who_may_not_look_at_pods_is_not_held_up_for_minutes_by_each_node_that_waits_for_a_cure():
    it = world("upstream's", nodes=8)
    it.edit(["a"], MAX_SURGE="1")
    it.run(60)
    it.edit(["a", "b", "bad"])
    it.run(3 * 360)
    assert all(image("b") in images for images in it.cluster.pins().values())


@pytest.mark.parametrize("rights", RIGHTS)
def test_a_node_whose_disk_was_full_is_served_again_after_as_long_as_that(rights):
    it = world(rights)
    it.run(8)
    it.happen("full", "node2")
    for _ in range(10):  # seconds in which the keeper does not look
        it.cluster.tick()
    it.run(20)
    it.edit(["a", "b"])
    it.run(20)
    it.happen("freed", "node2")
    it.run(60)
    assert it.cluster.pins()["node2"] == {image("a"), image("b")}


def test_where_a_policy_lets_no_pod_be_deleted_that_is_tried_once_and_the_rest_goes_on():
    it = world("kip's")
    it.run(8)
    it.happen("full", "node2")
    for _ in range(10):  # seconds in which the keeper does not look
        it.cluster.tick()
    it.cluster.failures["delete pods"] = [Forbidden("policy")] * 99
    it.run(10)
    it.edit(["a", "b"])
    it.run(60)
    others = {image("b") in it.cluster.pins()[node] for node in ("node1", "node3")}
    assert (others, it.cluster.calls.count("delete pods")) == ({True}, 1)


def test_nodes_with_room_for_one_cache_pod_get_an_edit_too():
    it = world("kip's", room=1)
    it.run(8)
    it.edit(["a", "b"])
    it.calm_down(90)
    assert (it.lost, it.cluster.pins()) == (
        [],
        {node: {image("a"), image("b")} for node in ("node1", "node2", "node3")},
    )


@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("before", [("node1",), ("node1", "node2", "node3")])
def test_nodes_that_are_selected_anew_pull_one_after_the_other(rights, before):
    it = world(rights, nodes=6)
    it.edit(["a", "b"], MAX_SURGE="1", AFFINITY=affinity(*before))
    it.calm_down(90)
    it.cluster.pulls.clear()
    it.edit(["a", "b"], AFFINITY=affinity())
    it.calm_down(120)
    filled = all({image("a"), image("b")} <= images for images in it.cluster.pins().values())
    together = max(len(nodes) for nodes in it.cluster.pulls.values())
    assert (it.lost, filled, together, it.daemonsets()) == ([], True, 1, [it.name])


def test_where_no_net_can_be_had_nodes_that_are_selected_anew_cost_no_pin():
    it = world("kip's")
    it.edit(["a", "b"], MAX_SURGE="1", AFFINITY=affinity("node1"))
    it.calm_down(90)
    it.cluster.failures["create daemonsets"] = [Forbidden("quota")]
    it.edit(["a", "b"], AFFINITY=affinity())
    it.calm_down(120)
    assert (it.lost, set(map(len, it.cluster.pins().values()))) == ([], {2})


def test_after_that_the_strategy_is_what_was_set():
    it = world("kip's", room=1)
    it.run(8)
    it.edit(["a", "b"])
    it.calm_down(90)
    assert it.cluster.daemonset()["spec"]["updateStrategy"]["rollingUpdate"] == {
        "maxSurge": "100%",
        "maxUnavailable": 0,
    }
