"""The pure step: who may take a lease, and what is written then."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kip.core.lease import (
    DURATION_SECONDS,
    HOLD_SECONDS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    LeaseStep,
    decide,
    held,
    holder_of,
    released,
    same,
)

NOW = datetime(2026, 11, 21, 8, 0, 0, 5, tzinfo=UTC)


def lease(holder: str | None = "other", **spec: object) -> dict:
    """Return a lease as the API server hands it out."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "cache", "namespace": "images", "resourceVersion": "7", "uid": "u"},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 45,
            "acquireTime": "2026-11-21T07:00:00.000000Z",
            "renewTime": "2026-11-21T07:59:00.000000Z",
            "leaseTransitions": 3,
            **spec,
        },
    }


@pytest.mark.parametrize(
    ("found", "watched", "step"),
    [
        pytest.param(None, 0, LeaseStep.CREATE, id="there is none"),
        pytest.param(lease("me"), 0, LeaseStep.RENEW, id="ours"),
        pytest.param(lease("me"), 900, LeaseStep.RENEW, id="ours, long not renewed"),
        pytest.param(lease(""), 0, LeaseStep.TAKE, id="released"),
        pytest.param(lease(None), 0, LeaseStep.TAKE, id="without a holder"),
        pytest.param(lease() | {"spec": None}, 0, LeaseStep.TAKE, id="empty"),
        pytest.param(lease(), 0, LeaseStep.WAIT, id="another's"),
        pytest.param(lease(), 44.9, LeaseStep.WAIT, id="another's, nearly expired"),
        pytest.param(lease(), 45, LeaseStep.TAKE, id="another's, expired"),
        pytest.param(lease(leaseDurationSeconds=15), 15, LeaseStep.TAKE, id="another's, for a shorter time"),
        pytest.param(lease(leaseDurationSeconds=3600), 45, LeaseStep.WAIT, id="another's, for a longer time"),
        pytest.param(
            lease(leaseDurationSeconds=None), 44.9, LeaseStep.WAIT, id="another's, without a duration"
        ),
        pytest.param(lease(renewTime="2020-01-01T00:00:00.000000Z"), 0, LeaseStep.WAIT, id="by a slow clock"),
    ],
)
def test_a_lease_is_taken_when_it_is_free_or_was_watched_to_its_end(found, watched, step):
    assert decide(found, "me", now=1000.0 + watched, since=1000.0) is step


def test_the_first_holder_writes_all_that_others_go_by():
    assert held(None, "me", NOW)["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": DURATION_SECONDS,
        "acquireTime": "2026-11-21T08:00:00.000005Z",
        "renewTime": "2026-11-21T08:00:00.000005Z",
        "leaseTransitions": 0,
    }


def test_taking_it_counts_the_change_of_hands():
    spec = held(lease(), "me", NOW)["spec"]
    assert (spec["leaseTransitions"], spec["acquireTime"]) == (4, spec["renewTime"])


def test_renewing_it_changes_only_the_time():
    before = lease("me")
    after = held(before, "me", NOW)
    assert after == before | {"spec": before["spec"] | {"renewTime": "2026-11-21T08:00:00.000005Z"}}


@pytest.mark.parametrize("write", [lambda found: held(found, "me", NOW), lambda found: released(found, NOW)])
def test_what_was_read_says_for_which_version_it_is_written(write):
    assert write(lease())["metadata"] == lease()["metadata"]


def test_what_others_put_into_it_stays():
    assert held(lease(strategy="OldestEmulationVersion"), "me", NOW)["spec"]["strategy"]


def test_writing_leaves_what_was_read_as_it_is():
    found = lease()
    held(found, "me", NOW)
    released(found, NOW)
    assert found == lease()


def test_a_released_lease_is_free_at_once():
    free = released(lease("me"), NOW)
    assert (holder_of(free), decide(free, "other", now=0.0, since=0.0)) == ("", LeaseStep.TAKE)


def test_times_are_written_in_utc():
    there = timezone(timedelta(hours=2))
    assert held(None, "me", NOW.astimezone(there)) == held(None, "me", NOW)


def test_a_renewal_is_a_sign_of_life_a_label_is_none():
    labelled = lease() | {"metadata": {"labels": {"a": "b"}, "resourceVersion": "8"}}
    assert (same(lease(), labelled), same(lease(), held(lease(), "other", NOW))) == (True, False)


def test_the_holder_stops_before_another_may_begin_and_may_miss_a_renewal():
    assert LOOK_SECONDS < RENEW_SECONDS < HOLD_SECONDS < DURATION_SECONDS
    assert HOLD_SECONDS >= 2 * RENEW_SECONDS
