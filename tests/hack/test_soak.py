"""hack/soak: its script, its witness and its figures; all that needs no cluster."""

from types import SimpleNamespace

import pytest
from pin_observer import Ledger
from soak import STEP, Wants
from soak_figures import MOST_GROWTH_KIB, Memory, Report, worst_minute
from soak_script import MISSING, UNUSABLE, Disturb, Edit, Restart, write_script

LASTING = {"registry away": (3.0, 40.0), "node2 away": (25.0, 60.0)}
DAY = 86400.0


def pod(name="a", node="node1", *, container="c1", runs=True, **metadata):
    state = {"running": {}} if runs else {"waiting": {}}
    return {
        "metadata": {"uid": name, "namespace": "here", **metadata},
        "spec": {"nodeName": node, "containers": [{"name": "x", "image": "x:1"}]},
        "status": {"containerStatuses": [{"name": "x", "state": state, "containerID": container}]},
    }


def node(ready=True, name="node1"):
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def ledger(clock):
    """A ledger of one image that is pinned and wanted on one node."""
    made = Ledger(lambda: clock.now)
    made.want(frozenset({"x:1"}))
    made.node("ADDED", node())
    made.pod("ADDED", pod())
    return made


def test_a_pin_that_goes_and_comes_is_a_gap(ledger, clock):
    ledger.pod("MODIFIED", pod(deletionTimestamp="now"))
    clock.now = 2.5
    ledger.pod("ADDED", pod("b"))
    assert ledger.report()["seconds"] == {"x:1": {"node1": 2.5}}


def test_a_successor_that_stands_first_leaves_no_gap(ledger, clock):
    ledger.pod("ADDED", pod("b", container="c2"))
    clock.now = 2.5
    ledger.pod("DELETED", pod())
    clock.now = 5.0
    assert ledger.report()["seconds"] == {}


@pytest.mark.parametrize(("age", "gaps", "young"), [(4.0, 0, 1), (6.0, 1, 0)])
def test_a_pin_counts_when_it_is_ripe(ledger, clock, age, gaps, young):
    ledger._ripe = 5.0
    clock.now = age
    ledger.want(frozenset())  # off the list for a moment: the pin is as old as it is
    ledger.want(frozenset({"x:1"}))
    ledger.pod("DELETED", pod())
    report = ledger.report()
    assert (len(report["gaps"]), len(report["young"])) == (gaps, young)


def test_a_node_that_was_killed_counts_only_once_a_new_container_pins_the_image(ledger, clock):
    ledger.died("node1")
    ledger.pod("MODIFIED", pod(runs=False))
    ledger.node("MODIFIED", node(ready=False))
    ledger.pod("MODIFIED", pod())  # as it was reported before
    ledger.revives("node1")
    ledger.node("MODIFIED", node())
    clock.now = 10.0
    ledger.pod("MODIFIED", pod(runs=False))
    clock.now = 20.0
    assert ledger.report()["seconds"] == {}
    ledger.pod("MODIFIED", pod(container="c2"))
    ledger.pod("MODIFIED", pod(runs=False))
    clock.now = 21.0
    assert ledger.report()["seconds"] == {"x:1": {"node1": 1.0}}


def test_an_image_that_comes_back_counts_when_the_newest_cache_lists_it():
    told = []
    wants = Wants(SimpleNamespace(want=lambda images: told.append(set(images))))
    both = frozenset({"a", "b"})
    wants.edit("1", both)
    wants.seen(cache("1", *both))
    wants.edit("2", frozenset({"a"}))
    wants.edit("3", both)
    wants.seen(cache("1", *both))
    wants.seen(cache("2", "a"))
    wants.seen(cache("3", "holder"))
    wants.seen(cache("3", *both))
    assert told == [set(), {"a", "b"}, {"a"}, {"a"}, {"a", "b"}]


def cache(step, *images):
    containers = [{"image": image} for image in images]
    return {
        "metadata": {"annotations": {STEP: step}},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def test_a_seed_makes_the_same_script_again():
    assert write_script(7, 900, LASTING) == write_script(7, 900, LASTING)
    assert write_script(7, 900, LASTING) != write_script(8, 900, LASTING)


def test_a_script_is_in_order_and_has_everything_in_it():
    script = write_script(1, DAY, LASTING)
    edits = [event for event in script if isinstance(event, Edit)]
    assert [event.at for event in script] == sorted(event.at for event in script)
    assert {event.kill for event in script if isinstance(event, Restart)} == {True, False}
    assert {event.name for event in script if isinstance(event, Disturb)} == set(LASTING)
    assert all(edit.spoilt in ({}, *UNUSABLE) and set(edit.names) - {MISSING} for edit in edits)
    assert any(MISSING in edit.names for edit in edits)


def test_a_disturbance_does_not_begin_while_it_lasts():
    until = dict.fromkeys(LASTING, 0.0)
    for event in write_script(1, DAY, LASTING):
        if isinstance(event, Disturb):
            assert until[event.name] < event.at
            until[event.name] = event.at + event.seconds


def test_the_keeper_runs_through_the_middle_of_the_time():
    ends = [event.at for event in write_script(1, 4000, LASTING) if isinstance(event, Restart)]
    assert ends
    assert not [at for at in ends if 1000 < at < 3000]


@pytest.mark.parametrize(("growth", "complaints"), [(0, 0), (MOST_GROWTH_KIB + 1, 1)])
def test_memory_that_grows_is_a_problem(growth, complaints):
    memory = Memory({1: [(float(at), 50000 + growth * (at >= 150)) for at in range(201)]})
    report = Report(1, "kip", 1, converged_after_s=1, memory=memory.growths())
    assert len(report.problems) == complaints


def test_the_memory_of_a_process_that_soon_ended_says_nothing():
    assert Memory({1: [(0.0, 1), (50.0, 99999)]}).growths() == []


def test_the_worst_minute_may_begin_at_any_time():
    assert worst_minute([0, 50, 55, 100, 109, 200]) == 4
    assert worst_minute([]) == 0


def test_a_soak_that_did_not_converge_or_lost_a_pin_has_problems():
    gap = {"node": "node1", "image": "x:1", "since": 1.0, "seconds": 2.0}
    assert len(Report(1, "kip", 1, gaps=[gap], unpinned_seconds=2.0).problems) == 2
