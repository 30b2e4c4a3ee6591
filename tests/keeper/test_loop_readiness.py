"""What the loop tells of itself: ready, standing by, in metrics."""

from datetime import UTC, datetime

from fakes import FakeCluster, configmap
from samples import COMPLETE
from scripted import IMAGES, failing, loop, other, run, run_quietly
from structlog.testing import capture_logs

from kip.errors import Forbidden, ServerError
from kip.keeper.loop import REFUSED_SECONDS, Loop


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


def test_a_configmap_that_may_not_be_read_yet_is_asked_for_again_where_nothing_else_tells_settings():
    cluster = FakeCluster(configmap(IMAGES=IMAGES))
    cluster.failures["get configmaps"] = [Forbidden("not yet")]
    it = loop(cluster, ("start",), CONFIGMAP_NAME="settings")
    run(it)
    again = it.timers.idle_seconds
    it.triggers.script = [("refused",)]
    run(it)
    assert (again is not None and again <= REFUSED_SECONDS, it.health.ready()[0].problem) == (True, "")


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


def filling(**environment) -> Loop:
    """Return a loop that found its cache on two of three nodes."""
    cluster = FakeCluster()
    it = loop(cluster, ("start",), IMAGES=IMAGES, **environment)
    with capture_logs():
        it.once(("start",))
        cluster.daemonset()["status"] = COMPLETE | {"numberReady": 2}
        it.once(("daemonset_changed",))
    return it


def test_a_cache_that_is_not_complete_does_not_make_the_keeper_unready():
    assert [check.problem for check in filling().health.ready()] == ["", ""]


def test_a_cache_that_is_not_complete_makes_the_keeper_unready_where_that_is_asked_for():
    checks = filling(READY_WHEN="complete").health.ready()
    assert {check.name: check.problem for check in checks}["cache"] == (
        "READY_WHEN=complete, and filling, 2 of 3 nodes are complete"
    )


def test_a_complete_cache_makes_it_ready():
    it = filling(READY_WHEN="complete")
    it.reconciler.cluster.daemonset()["status"] = COMPLETE
    with capture_logs():
        it.once(("daemonset_changed",))
    assert [check.problem for check in it.health.ready()] == ["", ""]


def test_the_lease_is_renewed_and_life_is_shown_in_the_middle_of_something_long():
    it = loop(FakeCluster(), ("start",), IMAGES=IMAGES)
    with capture_logs():
        it.once(("start",))
    renewals = it.reconciler.cluster.calls.count("update leases")
    it.clock.seconds += 20.0
    it.keep_alive()
    assert (it.health.ticked, it.reconciler.cluster.calls.count("update leases") - renewals) == (
        it.clock.seconds,
        1,
    )
