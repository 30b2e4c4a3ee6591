"""Somebody who undoes what kip does is reported, and not fought for ever."""

from datetime import UTC, datetime

import pytest
from fakes import Clock, FakeCluster, unasked
from samples import COMPLETE, IMAGES, settings
from structlog.testing import capture_logs

from kip.core.rights import Rights, Rule
from kip.keeper.drift_backoff import PAUSES, REPAIRS
from kip.keeper.reconcile import Reconciler

VERBS = frozenset({"create", "delete", "get", "list", "watch"})
UPSTREAMS = Rights((Rule(VERBS, frozenset({"apps"}), frozenset({"daemonsets"}), frozenset()),))


def now() -> datetime:
    return datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


class Fight:
    """A keeper, and somebody who changes the cache after each of its looks."""

    def __init__(self, surge: str = "100%") -> None:
        self.surge = surge
        self.clock = Clock()
        self.cluster = FakeCluster()
        self.keeper = Reconciler(self.cluster, now, self.clock, unasked(now), name="me")
        self.look()
        self.look()  # with a limit there are holders first

    def look(self, seconds: float = 1.0):
        self.clock.seconds += seconds
        with capture_logs() as logs:
            outcome = self.keeper.reconcile(settings(MAX_SURGE=self.surge))
        self.logs = logs
        return outcome

    def spoil(self) -> None:
        found = self.cluster.daemonset()
        found["spec"]["template"]["spec"]["nodeSelector"]["theirs"] = "1"
        entry = {"manager": "their-operator", "operation": "Update", "time": "2026-11-21T09:00:00Z"}
        found["metadata"]["managedFields"].append(entry)

    def rounds(self, number: int, seconds: float = 1.0) -> int:
        """Return how many of so many edits were undone."""
        undone = 0
        for _ in range(number):
            self.spoil()
            undone += bool(self.look(seconds).plan.steps)
        return undone


def test_an_edit_is_undone_at_once():
    assert Fight().rounds(1) == 1


def test_a_repair_names_who_made_it_necessary():
    it = Fight()
    it.rounds(1)
    assert [(line["event"], line["by"]) for line in it.logs] == [("drift_detected", "their-operator")]


def test_many_edits_in_a_minute_are_not_undone_for_a_while():
    assert Fight().rounds(3 * REPAIRS) == REPAIRS


def test_a_fight_is_reported_once_with_who_it_is():
    it = Fight()
    it.rounds(REPAIRS)
    it.rounds(1)
    assert [(line["event"], line["by"]) for line in it.logs] == [("fight_detected", "their-operator")]


def test_after_the_pause_the_cache_is_put_right_again():
    it = Fight()
    it.rounds(REPAIRS + 1)
    assert it.look(PAUSES[0] + 1).plan.summary == "apply"


def test_deletions_of_a_limited_cache_are_not_repaired_for_ever():
    it = Fight("1")
    made = 0
    for _ in range(600):
        found = it.cluster.daemonset()
        if found and len(found["spec"]["template"]["spec"]["containers"]) > 1:
            del it.cluster.objects["DaemonSet", "images", "kubernetes-image-puller"]
        made += "create" in it.look().plan.summary
    assert REPAIRS < made < 25


def test_edits_of_a_limited_cache_are_not_undone_for_ever():
    it = Fight("1")
    written = 0
    for _ in range(600):
        if len(it.cluster.daemonset()["spec"]["template"]["spec"]["containers"]) > 1:
            it.spoil()
        written += "apply" in it.look().plan.summary
    assert written < 60


def test_an_edit_that_is_taken_back_is_no_repair():
    it = Fight()
    for images in ["new=registry.example/new:1.0.0", IMAGES] * 20:
        it.clock.seconds += 1
        assert it.keeper.reconcile(settings(images)).repaired is False


def test_nets_that_somebody_deletes_are_not_spread_for_ever():
    it = Fight()
    cache = it.cluster.daemonset()
    cache["status"] = {**COMPLETE, "numberReady": 1, "numberAvailable": 1}
    it.cluster._rights = UPSTREAMS
    it.keeper.forget()
    spread, told = 0, []
    for _ in range(200):
        for key in [key for key in it.cluster.objects if "-net-" in key[2]]:
            del it.cluster.objects[key]
        it.clock.seconds += 1
        with capture_logs() as logs:
            outcome = it.keeper.reconcile(settings(f"{IMAGES};new=registry.example/new:1.0.0"))
        told += [line["event"] for line in logs]
        spread += outcome.plan.summary == "spread"
    assert (REPAIRS < spread < 25, "fight_detected" in told) == (True, True)


def test_rare_edits_are_undone_each_time():
    assert Fight().rounds(20, seconds=30.0) == 20


def test_a_fight_of_an_hour_costs_few_repairs():
    assert Fight().rounds(600, seconds=6.0) < 60


def test_an_edit_of_the_settings_is_no_repair():
    it = Fight()
    it.rounds(REPAIRS + 1)
    it.keeper.reconcile(settings("new=registry.example/new:1.0.0"))
    containers = it.cluster.daemonset()["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in containers] == ["new"]


@pytest.mark.parametrize(
    ("their_start", "theirs"), [("2026-11-21T09:00:00", True), ("2026-11-21T07:00:00", False)]
)
def test_a_cache_that_a_later_keeper_wrote_is_left_to_it(their_start, theirs):
    it = Fight()
    it.spoil()
    it.cluster.daemonset()["metadata"]["annotations"]["kip.dev/written-by"] = f"{their_start} other"
    assert (it.look().plan.pending != "") is theirs


def test_a_later_keeper_that_is_gone_is_not_waited_for_for_ever():
    it = Fight()
    it.spoil()
    it.cluster.daemonset()["metadata"]["annotations"]["kip.dev/written-by"] = "2026-11-21T09:00:00 other"
    it.look()
    assert it.look(700).plan.summary == "apply"
