"""The loop: what wakes it, and what it reports."""

from datetime import UTC, datetime

from fakes import FakeCluster, configmap
from scripted import (
    IMAGES,
    failing,
    loop,
    run,
)
from structlog.testing import capture_logs

from kip.core.rights import Rights


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
