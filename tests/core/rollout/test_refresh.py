"""When a refresh is due, and whether there is anything new."""

from datetime import UTC, datetime, timedelta

import pytest
from samples import manifest, settings, stored

from kip.core.render.daemonset import DIGESTS, REFRESHED_AT
from kip.core.rollout.refresh import (
    Stamp,
    digests_for,
    digests_on_nodes,
    judge,
    known_digests,
    new_stamp,
    refresh_due,
    stamp_of,
)
from kip.errors import RegistryRefused, RegistryUnavailable

CREATED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)  # as samples.stored says
MINUTE = timedelta(minutes=1)
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def refreshed(stamp: str, digests: str = "") -> dict:
    found = stored(manifest())
    annotations = {REFRESHED_AT: stamp} | ({DIGESTS: digests} if digests else {})
    found["spec"]["template"]["metadata"]["annotations"] = annotations
    return found


def test_the_interval_counts_from_the_creation():
    due = refresh_due(settings(), stored(manifest()))
    assert timedelta(hours=1) <= due - CREATED <= timedelta(hours=1.1)


def test_the_interval_counts_from_the_last_refresh():
    due = refresh_due(settings(), refreshed("2026-11-21T08:45:00Z"))
    assert timedelta(hours=1) <= due - CREATED - 45 * MINUTE <= timedelta(hours=1.1)


def test_two_caches_are_not_refreshed_in_the_same_moment():
    dues = {refresh_due(settings(), stored(manifest(), uid=f"uid-{number}")) for number in range(20)}
    assert len(dues) == 20


def test_one_cache_is_always_refreshed_at_its_own_time():
    assert refresh_due(settings(), stored(manifest())) == refresh_due(settings(), stored(manifest()))


@pytest.mark.parametrize(
    ("images", "refresh", "due"),
    [
        ("a=x:1.0.0", "auto", False),
        ("a=x:latest", "auto", True),
        ("a=x:1.0.0;b=y", "auto", True),
        ("a=x:1.0.0", "always", True),
        ("a=x:latest", "never", False),
        (f"a=x@{OLD}", "auto", False),
    ],
)
def test_refresh_follows_the_tags_unless_told_otherwise(images, refresh, due):
    assert (refresh_due(settings(images, REFRESH=refresh), stored(manifest())) is not None) is due


def test_a_stamp_that_somebody_spoilt_counts_as_none():
    assert stamp_of(refreshed("yesterday")) == Stamp()


def test_digests_that_somebody_spoilt_count_as_none():
    assert known_digests(stamp_of(refreshed("2026-11-21T08:45:00Z", "{"))) == {}


def test_a_stamp_remembers_the_digests():
    assert known_digests(new_stamp(CREATED, {"x:latest": OLD})) == {"x:latest": OLD}


def test_the_digest_of_an_image_off_the_list_is_forgotten():
    stamp = new_stamp(CREATED, {"x:latest": OLD, "y:latest": NEW})
    assert digests_for(settings("a=x:latest"), stamp) == f'{{"x:latest":"{OLD}"}}'


@pytest.mark.parametrize(
    ("answer", "known", "seen", "kind"),
    [
        (NEW, {"x": OLD}, {}, "moved"),
        (OLD, {"x": OLD}, {}, ""),
        (OLD, {"x": OLD}, {"x": frozenset({NEW})}, ""),
        (OLD, {}, {"x": frozenset({OLD})}, ""),
        (NEW, {}, {"x": frozenset({OLD})}, "moved"),
        (NEW, {}, {"x": frozenset({OLD, NEW})}, "moved"),
        (NEW, {}, {"x": frozenset({""})}, "moved"),
        (NEW, {}, {}, "moved"),
        (RegistryUnavailable("down"), {"x": OLD}, {}, "away"),
        (RegistryRefused("who are you"), {"x": OLD}, {}, "untold"),
        (RegistryRefused("no such image", missing=True), {"x": OLD}, {}, ""),
    ],
)
def test_a_verdict_names_what_moved_what_is_untold_and_who_is_away(answer, known, seen, kind):
    verdict = judge({"x": answer}, known, seen)
    assert {name: getattr(verdict, name) for name in ("moved", "untold", "away")} == {
        name: ("x",) if name == kind else () for name in ("moved", "untold", "away")
    }


def test_the_longest_pause_that_a_registry_asks_for_counts():
    away = [
        RegistryUnavailable("a", retry_after=30.0),
        RegistryUnavailable("b", retry_after=90.0),
        RegistryUnavailable("c"),
    ]
    assert judge(dict(zip("abc", away, strict=True)), {}, {}).retry_after == 90.0


def test_the_digests_on_nodes_are_those_of_running_containers():
    pod = {
        "metadata": {},
        "spec": {"containers": [{"name": "a", "image": "x:latest"}, {"name": "b", "image": "y:latest"}]},
        "status": {
            "containerStatuses": [
                {"name": "a", "state": {"running": {}}, "imageID": f"registry.example/x@{OLD}"},
                {"name": "b", "state": {"waiting": {}}, "imageID": ""},
            ]
        },
    }
    going = {**pod, "metadata": {"deletionTimestamp": "2026-11-21T08:00:00Z"}}
    going["status"] = {
        "containerStatuses": [{"name": "a", "state": {"running": {}}, "imageID": f"registry.example/x@{NEW}"}]
    }
    assert digests_on_nodes([pod, going]) == {"x:latest": frozenset({OLD})}
