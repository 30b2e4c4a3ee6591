"""The loop: what wakes it, what it reports, and that it goes on whatever happens."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from fakes import Clock, FakeCluster, configmap, unasked
from samples import COMPLETE
from structlog.testing import capture_logs

from kip.cluster.api import DAEMONSETS, Selection
from kip.core.rights import Rights
from kip.core.steps import Plan
from kip.errors import Cause, Invalid, ServerError, TooManyRequests
from kip.keeper.lease import Leadership
from kip.keeper.live_settings import LiveSettings
from kip.keeper.loop import Loop
from kip.keeper.measures import Measures, Survey
from kip.keeper.reconcile import Reconciler
from kip.observe.board import Board
from kip.observe.health import Health
from kip.observe.metrics import Metrics

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
IMAGES = "a=registry.example/a:1.0.0"


class Ended(Exception):
    """The script of a test is over."""


@dataclass
class ScriptedTriggers:
    """Gives the reasons of a script, one wait each, and ends the loop."""

    script: list[tuple[str, ...]]
    woken: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def wake(self, reason: str) -> None:
        self.woken.append(reason)

    def wait(self, seconds: float) -> tuple[str, ...]:
        self.waits.append(seconds)
        if not self.script:
            raise Ended
        return self.script.pop(0)


@dataclass
class RecordedWatches:
    """Records what was to be watched."""

    followed: list[set[Selection]] = field(default_factory=list)

    def follow(self, selections) -> None:
        self.followed.append(set(selections))


def loop(cluster: FakeCluster, *script: tuple[str, ...], **environment: str) -> Loop:
    clock = Clock()

    def now() -> datetime:
        return EPOCH + timedelta(seconds=clock.seconds)

    reconciler = Reconciler(cluster, now, clock, unasked(now))
    return Loop(
        settings=LiveSettings(cluster, environment, "images"),
        reconciler=reconciler,
        leadership=Leadership(cluster, "me", reconciler.rights, now, clock),
        triggers=ScriptedTriggers(list(script)),
        watches=RecordedWatches(),
        health=Health(clock, 60.0, ticked=0.0),
        measures=measures(cluster, reconciler, now, clock),
        now=now,
        clock=clock,
        random=Random(1),
    )


def measures(cluster: FakeCluster, reconciler: Reconciler, now, clock: Clock) -> Measures:
    metrics = Metrics()
    return Measures(
        metrics, Survey(metrics, Board(clock), cluster, reconciler.rights, now, clock), now, clock
    )


def other(cluster: FakeCluster) -> Leadership:
    """Return another keeper's hold on the lease of the same cache."""
    there = Leadership(cluster, "other", cluster.rights, lambda: EPOCH, Clock())
    there.follow("images", "kubernetes-image-puller")
    with capture_logs():
        assert there.hold()
    return there


def run_quietly(it: Loop) -> None:
    with pytest.raises(Ended):
        it.run()


def run(it: Loop) -> list[dict]:
    """Run until the script is over; return the log."""
    with capture_logs() as logs:
        run_quietly(it)
    return [line for line in logs if line["event"].startswith("reconcile")]


def test_start_wakes_the_loop():
    it = loop(FakeCluster(), IMAGES=IMAGES)
    run(it)
    assert it.triggers.woken == ["start"]


def test_one_line_says_trigger_plan_and_outcome():
    (line,) = run(loop(FakeCluster(), ("start",), IMAGES=IMAGES))
    assert {key: line[key] for key in ("event", "trigger", "plan", "outcome", "log_level")} == {
        "event": "reconcile_done",
        "trigger": ["start"],
        "plan": "create",
        "outcome": "changed",
        "log_level": "info",
    }


def test_a_reconcile_without_news_is_a_line_for_debugging():
    lines = run(loop(FakeCluster(), ("start",), ("a",), ("b",), IMAGES=IMAGES))
    assert lines[-1]["log_level"] == "debug"


def failing(*script, **environment) -> Loop:
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [ServerError("down"), ServerError("still down")]
    return loop(cluster, *script, IMAGES=IMAGES, **environment)


def test_an_error_is_reported_and_the_loop_goes_on():
    lines = run(failing(("start",), ("retry",), ("retry",)))
    assert [line["event"] for line in lines] == ["reconcile_failed", "reconcile_failed", "reconcile_done"]


def test_an_error_is_retried_later_and_later():
    lines = run(failing(("start",), ("retry",)))
    assert lines[0]["retry_in_s"] < lines[1]["retry_in_s"]


def test_a_fault_of_kips_own_is_reported_and_retried():
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [KeyError("spec")]
    lines = run(loop(cluster, ("start",), ("retry",), IMAGES=IMAGES))
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("reconcile_failed", "Fault"),
        ("reconcile_done", None),
    ]


@dataclass
class TimedTriggers(ScriptedTriggers):
    """Lets the time pass that is waited for, and gives the reasons that came by then."""

    clock: Clock | None = None
    script: list[tuple[float, str]] = field(default_factory=list)

    def wait(self, seconds: float) -> tuple[str, ...]:
        due = min((at for at, _ in self.script), default=60.0)
        self.clock.seconds += min(max(seconds, 0.1), max(due - self.clock.seconds, 0.1))
        if self.clock.seconds > 60.0:
            raise Ended
        came = tuple(reason for at, reason in self.script if at <= self.clock.seconds)
        self.script = [(at, reason) for at, reason in self.script if at > self.clock.seconds]
        return came


def times_of_looks(error: ServerError | TooManyRequests, *script: tuple[float, str]) -> list[float]:
    """Return when, in seconds, the loop looked while each look failed and these reasons came."""
    times: list[float] = []

    class Failing(FakeCluster):
        def list_all(self, *_):
            times.append(it.clock.seconds)
            raise error

    it = loop(Failing(), IMAGES=IMAGES)
    it.triggers = TimedTriggers([(0.0, "start"), *script], clock=it.clock)
    run(it)
    return times


CHANGES = [(tenth / 10, "daemonset_changed") for tenth in range(600)]


def test_changes_that_keep_coming_do_not_undo_the_back_off():
    times = times_of_looks(ServerError("down"), *CHANGES)
    assert (len(times) < 20, max(times) > 50) == (True, True)


def test_a_change_is_looked_at_before_the_retry_is_due():
    times = times_of_looks(ServerError("down"), *CHANGES[:300], (50.0, "configmap_changed"))
    assert 50.0 <= times[-1] < 51.0


def test_no_change_shortens_the_wait_that_the_server_asks_for():
    times = times_of_looks(TooManyRequests("later", retry_after=20.0), *CHANGES)
    assert [later - earlier >= 20.0 for earlier, later in pairwise(times)] == [True, True]


def test_a_change_during_the_wait_is_not_forgotten():
    times = times_of_looks(TooManyRequests("later", retry_after=20.0), (1.0, "daemonset_changed"))
    assert len(times) == 2


def times_of_dear_looks(*script: tuple[float, str]) -> list[float]:
    """Return when the loop looked while the cache filled and each look took half a second."""
    times: list[float] = []

    class Filling(FakeCluster):
        def list_all(self, selection):
            if selection.resource == DAEMONSETS:
                times.append(it.clock.seconds)
                it.clock.seconds += 0.5
            return super().list_all(selection)

    cluster = Filling()
    it = loop(cluster, IMAGES=IMAGES)
    it.once(("start",))
    cluster.daemonset()["status"] = {**COMPLETE, "numberReady": 0}
    it.clock.seconds, times[:] = 0.0, []
    it.triggers = TimedTriggers([(0.0, "start"), *script], clock=it.clock)
    run(it)
    return times


def test_after_a_dear_look_counts_that_change_are_not_looked_at_for_a_while():
    times = times_of_dear_looks(*CHANGES)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert (len(pauses) > 2, min(pauses) >= 10.0) == (True, True)


def test_a_look_that_took_minutes_does_not_blind_the_keeper():
    it = loop(FakeCluster(), IMAGES=IMAGES)
    it._look_again(Plan(pending="x"), 400.0)
    assert it._sated_until == 120.0
    it._look_again(Plan(), 0.1)
    assert it._sated_until == 0.0


def test_settings_that_the_api_server_refuses_are_tried_again():
    class Strict(FakeCluster):
        refuses = True

        def create(self, resource, namespace, manifest, *, dry_run=False):
            if self.refuses and "bad" in str(manifest["spec"]):
                raise Invalid("refused", causes=(Cause("spec.template.spec.nodeSelector", "no"),))
            return super().create(resource, namespace, manifest, dry_run=dry_run)

    cluster = Strict(configmap(IMAGES=IMAGES))
    it = loop(cluster, CONFIGMAP_NAME="settings")
    with capture_logs():
        it.once(("start",))
        cluster.objects["ConfigMap", "images", "settings"]["data"]["NODE_SELECTOR"] = "bad=1"
        it.once(("configmap_changed",))
        before = it.health.settings_problem
        cluster.refuses = False
        it.once(("refused",))
    assert (before != "", it.health.settings_problem, len(it.timers.get_jobs("refused"))) == (True, "", 1)


def test_a_deletion_is_looked_at_even_then():
    assert times_of_dear_looks((3.0, "daemonset_deleted"))[1] < 4.0


@pytest.mark.parametrize(("asked", "seconds"), [(2.4, 3), (20.0, 20)])
def test_a_retry_does_not_come_before_it_is_due(asked, seconds):
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [TooManyRequests("later", retry_after=asked)]
    it = loop(cluster, ("start",), IMAGES=IMAGES)
    run(it)
    (job,) = it.timers.get_jobs("retry")
    assert job.interval == seconds


def test_a_refresh_that_is_due_does_not_undo_the_back_off():
    it = failing(("start",), ())
    it._refresh_at = EPOCH
    run(it)
    assert it.triggers.woken == ["start"]


def test_an_error_makes_the_keeper_unready():
    it = failing(("start",))
    run(it)
    assert [check.problem for check in it.health.ready()] == ["", "down"]


def test_success_makes_it_ready_again():
    it = failing(("start",), ("retry",), ("retry",))
    run(it)
    assert [check.problem for check in it.health.ready()] == ["", ""]


def test_without_valid_settings_it_stays_up_not_ready_and_says_why():
    it = loop(FakeCluster(), ("start",), IMAGES="=")
    run(it)
    assert "IMAGES" in it.health.ready()[0].problem


def test_without_valid_settings_nothing_is_touched():
    cluster = FakeCluster()
    run(loop(cluster, ("start",), IMAGES="="))
    assert cluster.calls == []


def test_it_watches_the_cache_and_its_configmap():
    it = loop(FakeCluster(configmap(IMAGES=IMAGES)), ("start",), CONFIGMAP_NAME="settings")
    run(it)
    assert {(item.resource.plural, item.name) for item in it.watches.followed[-1]} == {
        ("configmaps", "settings"),
        ("daemonsets", ""),
    }


def test_where_only_the_cache_may_be_watched_it_is_watched_by_name():
    cluster = FakeCluster(configmap(IMAGES=IMAGES), rights=Rights())
    it = loop(cluster, ("start",), CONFIGMAP_NAME="settings")
    run(it)
    assert ("daemonsets", "kubernetes-image-puller") in {
        (item.resource.plural, item.name) for item in it.watches.followed[-1]
    }


def test_a_renamed_cache_is_watched_under_its_new_name():
    cluster = FakeCluster(configmap(IMAGES=IMAGES), rights=Rights())
    it = loop(cluster, ("start",), CONFIGMAP_NAME="settings")
    run(it)
    cluster.objects["ConfigMap", "images", "settings"] = configmap(IMAGES=IMAGES, DAEMONSET_NAME="other")
    with capture_logs():
        it.once(("configmap_changed",))
    assert "other" in {item.name for item in it.watches.followed[-1]}


def test_the_interval_is_the_longest_pause():
    it = loop(FakeCluster(), ("start",), IMAGES=IMAGES, CACHING_INTERVAL_HOURS="0.5")
    run(it)
    assert 1800 in [job.interval for job in it.timers.get_jobs()]


def test_a_retry_is_timed():
    it = failing(("start",))
    run(it)
    assert len(it.timers.get_jobs("retry")) == 1


def test_each_round_is_a_sign_of_life():
    it = loop(FakeCluster(), IMAGES=IMAGES)
    it.clock.seconds = 50.0
    run(it)
    assert it.health.ticked == 50.0


def test_a_round_lasts_a_few_seconds_at_most():
    it = loop(FakeCluster(), ("start",), (), IMAGES=IMAGES)
    run(it)
    assert max(it.triggers.waits) <= 5.0


def test_a_due_refresh_wakes_the_loop():
    it = loop(FakeCluster(), ("start",), ("watch",), (), IMAGES="a=registry.example/a:latest")
    it.now = lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    run(it)
    assert it.triggers.woken == ["start", "refresh"]


def test_a_standby_leaves_the_cache_alone():
    cluster = FakeCluster()
    other(cluster)
    run(loop(cluster, ("start",), ("daemonset_changed",), ("interval",), IMAGES=IMAGES))
    assert cluster.daemonset() is None


def test_a_standby_is_ready_and_says_who_acts():
    cluster = FakeCluster()
    other(cluster)
    it = loop(cluster, ("start",), IMAGES=IMAGES)
    run(it)
    assert [(check.problem, check.note) for check in it.health.ready()] == [
        ("", ""),
        ("", "standby: other holds the lease"),
    ]


def test_a_standby_watches_what_it_may_have_to_keep():
    cluster = FakeCluster(configmap(IMAGES=IMAGES))
    other(cluster)
    it = loop(cluster, ("start",), CONFIGMAP_NAME="settings")
    run(it)
    assert {item.resource.plural for item in it.watches.followed[-1]} == {"configmaps", "daemonsets"}


def succeeding(*script: tuple[str, ...]) -> tuple[Loop, list[dict]]:
    """Let a standby run on after the holder let go."""
    cluster = FakeCluster()
    there = other(cluster)
    it = loop(cluster, ("start",), IMAGES=IMAGES)
    run(it)
    with capture_logs():
        there.release()
    it.clock.seconds = 5.0
    it.triggers.script = list(script)
    return it, run(it)


def test_a_standby_that_becomes_the_holder_is_woken():
    it, _ = succeeding(())
    assert it.triggers.woken[-1] == "lease"


def test_a_standby_that_becomes_the_holder_reconciles():
    it, (line,) = succeeding(("lease",))
    assert (line["trigger"], line["plan"], it.health.standby) == (["lease"], "create", "")


def test_a_holder_whose_lease_was_taken_stands_by():
    cluster = FakeCluster()
    it = loop(cluster, ("start",), IMAGES=IMAGES)
    run(it)
    cluster.objects.pop(("Lease", "images", "kubernetes-image-puller"))
    other(cluster)
    it.clock.seconds, it.triggers.script = 15.0, [("lease",)]
    assert (run(it), it.triggers.woken[-1], it.health.standby) == (
        [],
        "lease",
        "standby: other holds the lease",
    )


def test_a_lease_that_cannot_be_asked_for_is_an_error_and_retried():
    cluster = FakeCluster()
    cluster.failures["get leases"] = [ServerError("down")]
    it = loop(cluster, ("start",), ("retry",), IMAGES=IMAGES)
    lines = run(it)
    assert [(line["event"], line.get("message")) for line in lines] == [
        ("reconcile_failed", "down"),
        ("reconcile_done", None),
    ]


def test_a_standby_is_not_woken_by_a_refresh_that_is_anothers_to_do():
    cluster = FakeCluster()
    it = loop(cluster, ("start",), ("watch",), IMAGES="a=registry.example/a:latest")
    run(it)
    cluster.objects.pop(("Lease", "images", "kubernetes-image-puller"))
    other(cluster)
    it.now = lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    it.clock.seconds, it.triggers.script = 15.0, [("lease",), ()]
    run(it)
    assert "refresh" not in it.triggers.woken


def test_timers_are_set_anew_when_the_wall_clock_is_set():
    it = loop(FakeCluster(), ("start",), (), ("clock_was_set",), IMAGES=IMAGES)
    true, jump = it.now, timedelta()
    wait = it.triggers.wait

    def set_back(seconds):
        nonlocal jump
        jump = timedelta(hours=1)
        return wait(seconds)

    it.triggers.wait = set_back
    it.now = lambda: true() - jump
    with capture_logs() as logs:
        run_quietly(it)
    assert [line["by_s"] for line in logs if line["event"] == "clock_was_set"] == [-3600.0]
    assert (it.triggers.woken[1:], len(it.timers.get_jobs()) > 0) == (["clock_was_set"], True)


def told(it: Loop) -> dict[str, float]:
    """Return what the metrics say after the script is over, by series."""
    with capture_logs():
        run_quietly(it)
    lines = it.measures.metrics.text().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def test_what_the_loop_does_is_told_in_metrics():
    found = told(loop(FakeCluster(), ("start",), ("progress",), IMAGES=IMAGES))
    names = ("kip_cache_complete", "kip_settings_valid", "kip_leader", "kip_interval_seconds")
    assert [found[name] for name in names] == [1, 1, 1, 3600]
    assert found['kip_reconcile_seconds_count{outcome="changed"}'] == 1


def test_failures_are_told_in_metrics():
    found = told(failing(("start",), ("retry",)))
    assert found['kip_reconcile_seconds_count{outcome="failed"}'] == 2


def test_settings_that_cannot_be_used_are_told_in_metrics():
    assert told(loop(FakeCluster(), ("start",), IMAGES=""))["kip_settings_valid"] == 0


def test_a_standby_is_told_in_metrics():
    cluster = FakeCluster()
    other(cluster)
    found = told(loop(cluster, ("start",), IMAGES=IMAGES))
    assert (found["kip_leader"], found["kip_nodes_wanted"]) == (0, 0)
