"""Whatever is changed, wherever the keeper is killed: no pin is lost that is still wanted."""

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from pinworld import RIGHTS, affinity, image, world

from kip.errors import Forbidden

GOOD = ["a", "b", "c", "d"]

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


def test_nodes_with_room_for_one_cache_pod_pull_one_after_the_other():
    it = world("kip's", room=1, nodes=6)
    it.edit(["a"], MAX_SURGE="1")
    it.run(60)
    it.cluster.pulls.clear()
    it.edit(["a", "b"])
    it.calm_down(120)
    filled = all({image("a"), image("b")} <= images for images in it.cluster.pins().values())
    assert (it.lost, filled, max(map(len, it.cluster.pulls.values()))) == ([], True, 1)


@pytest.mark.parametrize("dead", [("node1",), ("node1", "node2", "node4")])
def test_nodes_that_died_do_not_use_up_the_limit_of_an_exchange(dead):
    it = world("kip's", room=1, nodes=6)
    it.edit(["a"], MAX_SURGE="1")
    it.run(60)
    for node in dead:
        it.happen("dies", node)
    it.run(15)
    it.edit(["a", "b"])
    it.run(240)
    alive = {node for node in it.cluster.nodes if node not in dead}
    served = {node for node, images in it.cluster.pins().items() if image("b") in images}
    assert (it.lost, served) == ([], alive)


@pytest.mark.parametrize("rights", RIGHTS)
def test_a_cache_that_takes_up_the_place_of_its_successor_goes_before_the_nets(rights):
    it = world(rights, room=1)
    it.edit(["a", "bad"])
    it.run(20)
    it.edit(["a", "b", "bad"], DAEMONSET_NAME="other")
    it.run(2100)
    assert (it.lost, {image("b") in images for images in it.cluster.pins().values()}) == ([], {True})


def test_a_limit_that_was_raised_stays_while_the_counts_of_an_exchanged_cache_are_not_there_yet():
    it = world("upstream's", room=1, nodes=6)
    it.edit(["a"], MAX_SURGE="1")
    it.run(60)
    it.edit(["a", "b"])
    it.run(310)
    it.looks = 2
    it.run(700)
    assert it.cluster.daemonset(it.name)["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 4


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
