"""Of several keepers of one cache only one acts."""

import socket

import pytest
from fakes import deployment
from leasescene import CACHE, KEY

from kip.errors import Conflict, NotFound, ServerError, TooManyRequests, Unreachable
from kip.keeper.lease import Leadership, identity


def test_a_keeper_alone_acts_at_once(scene):
    assert scene.keeper().hold()


def test_nothing_is_held_before_a_cache_is_named(scene):
    alone = Leadership(scene.cluster, "first", scene.cluster.rights, scene.now, scene.clock)
    assert (alone.hold(), scene.cluster.calls) == (False, [])


def test_the_lease_is_named_after_the_cache_and_says_who_holds_it(scene):
    scene.keeper().hold()
    assert (scene.spec["holderIdentity"], scene.spec["leaseDurationSeconds"]) == ("first", 45)


def test_the_second_keeper_waits(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    assert (first.hold(), second.hold(), second.holder) == (True, False, "first")


def test_a_holder_that_renews_holds_on(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    assert scene.pass_time(600, first, second) == [True, False]


def test_caches_of_other_names_do_not_hinder_each_other(scene):
    first, second = scene.keeper("first"), scene.keeper("second", place=("images", "other"))
    assert (first.hold(), second.hold()) == (True, True)


def test_a_dead_holder_is_succeeded_when_its_lease_has_expired(scene):
    scene.keeper("first").hold()
    second = scene.keeper("second")
    second.hold()
    assert scene.pass_time(40, second) == [False]
    assert scene.pass_time(5, second) == [True]


def test_a_lease_from_long_ago_is_watched_for_its_duration_all_the_same(scene):
    scene.keeper("first").hold()
    scene.clock.seconds = 3600.0
    second = scene.keeper("second")
    assert not second.hold()
    assert scene.pass_time(45, second) == [True]


def test_a_lease_belongs_to_our_deployment_and_goes_with_it(scene):
    owner = deployment("keeper", uid="its-uid")
    scene.cluster.objects["Deployment", "images", "keeper"] = owner
    it = scene.keeper(place=(*CACHE, "keeper"))
    assert it.hold()
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "keeper", "uid": "its-uid"}
    assert scene.cluster.objects[KEY]["metadata"]["ownerReferences"] == [reference]


def test_a_lease_keeps_the_owners_it_has(scene):
    scene.keeper("first").hold()
    scene.cluster.objects["Deployment", "images", "keeper"] = deployment("keeper")
    second = scene.keeper("second", place=(*CACHE, "keeper"))
    assert scene.pass_time(60, second) == [True]
    assert "ownerReferences" not in scene.cluster.objects[KEY]["metadata"]


@pytest.mark.parametrize("named", ["", "not-there"])
def test_a_keeper_without_a_deployment_holds_a_lease_without_an_owner(scene, named):
    assert scene.keeper(place=(*CACHE, named)).hold()
    assert "ownerReferences" not in scene.cluster.objects[KEY]["metadata"]


def test_a_deployment_that_cannot_be_asked_for_puts_the_lease_off(scene):
    scene.cluster.failures["get deployments"] = [ServerError("down")]
    it = scene.keeper(place=(*CACHE, "keeper"))
    assert (it.hold(), scene.pass_time(5, it)) == (False, [True])


def test_a_released_lease_is_taken_at_the_next_look(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    first.hold()
    second.hold()
    first.release()
    assert scene.pass_time(5, second) == [True]


def test_a_keeper_that_let_go_holds_no_more(scene):
    first = scene.keeper()
    first.hold()
    first.release()
    assert scene.pass_time(60, first) == [False]
    assert (scene.spec["holderIdentity"], scene.cluster.calls[-2:]) == ("", ["get leases", "update leases"])


def test_a_standby_that_ends_does_not_release_anothers_lease(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    first.hold()
    second.hold()
    second.release()
    assert (scene.spec["holderIdentity"], scene.told("lease_released")) == ("first", [])


def test_a_lease_taken_in_the_moment_of_the_end_is_released_too(scene):
    interrupted = scene.keeper("first")
    scene.keeper("first").hold()  # what was sent before the signal came, its answer never read
    interrupted.release()
    assert scene.spec["holderIdentity"] == ""


def test_an_end_without_an_api_server_is_told_and_no_error(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.failures["get leases"] = [Unreachable("away")]
    first.release()
    assert scene.told("lease_not_released")[0]["error"] == "away"


def test_a_restarted_container_of_the_same_pod_goes_on_at_once(scene):
    scene.keeper("first").hold()
    again = scene.keeper("first")
    assert (again.hold(), scene.spec["leaseTransitions"]) == (True, 0)


def test_an_idle_holder_costs_four_requests_a_minute(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.calls.clear()
    scene.pass_time(60, first)
    assert scene.cluster.calls == ["update leases"] * 4


def test_a_standby_looks_every_five_seconds(scene):
    scene.keeper("first").hold()
    second = scene.keeper("second")
    second.hold()
    scene.cluster.calls.clear()
    scene.pass_time(30, second)
    assert scene.cluster.calls == ["get leases"] * 6


def test_asking_between_two_looks_costs_nothing(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.calls.clear()
    assert (first.hold(), scene.cluster.calls) == (True, [])


def test_a_holder_without_an_api_server_relies_on_its_lease_for_a_while_only(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.failures["update leases"] = [Unreachable("away")] * 20
    assert scene.pass_time(25, first) == [True]
    assert scene.pass_time(5, first) == [False]
    assert str(first.error) == "away"


def test_it_goes_on_when_the_api_server_is_back(scene):
    first = scene.keeper()
    first.hold()
    # It writes without reading while it holds the lease, and reads first when it no longer relies on it.
    scene.cluster.failures["update leases"] = [Unreachable("away")] * 4
    scene.cluster.failures["get leases"] = [Unreachable("away")] * 2
    assert scene.pass_time(35, first) == [False]
    assert scene.pass_time(10, first) == [True]
    assert (first.error, scene.spec["leaseTransitions"]) == (None, 0)


def test_a_reconcile_that_took_too_long_loses_nothing_when_nobody_else_came(scene):
    first = scene.keeper()
    first.hold()
    scene.clock.seconds = 300.0
    assert (first.hold(), scene.told("lease_lost")) == (True, [])


def test_a_reconcile_that_took_too_long_loses_the_lease_to_who_came(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    first.hold()
    second.hold()
    scene.pass_time(45, second)
    assert (first.hold(), first.holder) == (False, "second")


def test_a_renewal_whose_answer_was_lost_loses_nothing(scene):
    first, twin = scene.keeper("first"), scene.keeper("first")
    first.hold()
    scene.clock.seconds = 15.0
    twin.hold()  # the same request again: it was carried out, and its answer never came
    assert (first.hold(), scene.cluster.calls[-3:]) == (
        True,
        ["update leases", "get leases", "update leases"],
    )


def test_a_label_put_on_the_lease_does_not_take_it_away(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.objects[KEY]["metadata"] |= {"resourceVersion": "other", "labels": {"a": "b"}}
    assert scene.pass_time(15, first) == [True]
    assert scene.cluster.objects[KEY]["metadata"]["labels"] == {"a": "b"}


def test_conflicts_over_a_lease_that_stays_ours_do_not_take_it_away_at_once(scene):
    keeper = scene.keeper()
    keeper.hold()
    scene.cluster.failures["update leases"] = [Conflict("409")] * 99
    assert [scene.pass_time(15, keeper), scene.pass_time(20, keeper)] == [[True], [False]]


def test_a_lease_that_was_deleted_is_made_again(scene):
    first = scene.keeper()
    first.hold()
    del scene.cluster.objects[KEY]
    assert scene.pass_time(15, first) == [True]
    assert scene.spec["holderIdentity"] == "first"


@pytest.mark.parametrize("expired", [False, True])
def test_of_two_keepers_that_take_it_in_the_same_moment_one_gets_it(scene, monkeypatch, expired):
    first, second = scene.keeper("first"), scene.keeper("second")
    if expired:
        scene.keeper("dead").hold()
        first.hold()
        second.hold()
        scene.clock.seconds = 45.0
    read = scene.cluster.get

    def read_and_be_overtaken(*arguments: object) -> object:
        monkeypatch.undo()
        found = read(*arguments)
        first.hold()
        return found

    monkeypatch.setattr(scene.cluster, "get", read_and_be_overtaken)
    assert (second.hold(), first.hold(), second.holder, second.error) == (False, True, "first", None)


def test_a_renamed_cache_has_a_lease_of_its_own_and_lets_go_of_the_old(scene):
    first = scene.keeper()
    first.hold()
    first.follow("images", "renamed")
    assert first.hold()
    assert (scene.spec["holderIdentity"], scene.cluster.objects["Lease", "images", "renamed"]["spec"]) == (
        "",
        scene.spec | {"holderIdentity": "first"},
    )


def test_following_the_same_cache_again_changes_nothing(scene):
    first = scene.keeper()
    first.hold()
    first.follow(*CACHE)
    assert (first.holding, scene.told("lease_released")) == (True, [])


def test_a_lease_is_held_only_as_long_as_the_others_believe_it(scene):
    it = scene.keeper()
    it.hold()
    before = it.in_time, it.exclusive
    scene.clock.seconds += 31.0
    assert (before, it.in_time, it.exclusive) == ((True, True), False, False)


@pytest.mark.parametrize(
    "error", [Unreachable("away"), ServerError("trouble"), NotFound("no such namespace"), KeyError("fault")]
)
def test_who_cannot_know_does_not_act(scene, error):
    scene.cluster.failures["create leases"] = [error]
    first = scene.keeper()
    assert (first.hold(), first.error is not None) == (False, True)
    assert (first.hold(), first.error) == (True, None)


def test_a_standby_that_cannot_ask_for_a_moment_has_not_begun_anew(scene):
    scene.keeper("first").hold()
    second = scene.keeper("second")
    second.hold()
    scene.cluster.failures["get leases"] = [Unreachable("away")] * 3
    assert scene.pass_time(45, second) == [True]


def test_a_server_that_asks_for_patience_is_given_it(scene):
    first = scene.keeper()
    scene.cluster.failures["get leases"] = [TooManyRequests("later", retry_after=30.0)]
    first.hold()
    scene.cluster.calls.clear()
    assert scene.pass_time(25, first) == [False]
    assert scene.cluster.calls == []
    assert scene.pass_time(5, first) == [True]


def test_each_change_of_hands_is_told_once(scene):
    first, second = scene.keeper("first"), scene.keeper("second")
    scene.pass_time(60, first, second)
    first.release()
    scene.pass_time(60, second)
    assert [(line["event"], line["me"]) for line in scene.log] == [
        ("lease_acquired", "first"),
        ("lease_waiting", "second"),
        ("lease_released", "first"),
        ("lease_acquired", "second"),
    ]


def test_who_is_waited_for_is_told_once_for_each_holder(scene):
    first, second, third = (scene.keeper(name) for name in ("first", "second", "third"))
    scene.pass_time(60, first, second, third)
    first.release()
    scene.pass_time(60, second, third)
    assert [line["holder"] for line in scene.told("lease_waiting") if line["me"] == "third"] == [
        "first",
        "second",
    ]


def test_a_lost_lease_is_told_with_who_has_it_now(scene):
    first = scene.keeper("first")
    first.hold()
    del scene.cluster.objects[KEY]
    scene.keeper("second").hold()
    scene.pass_time(15, first)
    (line,) = scene.told("lease_lost")
    assert (line["holder"], line["lease"], line["error"]) == ("second", "/".join(CACHE), None)


def test_a_lease_that_could_not_be_renewed_is_lost_with_the_reason(scene):
    first = scene.keeper()
    first.hold()
    scene.cluster.failures["update leases"] = [Unreachable("away")] * 10
    scene.pass_time(30, first)
    assert scene.told("lease_lost")[0]["error"] == "away"


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"POD_NAME": "keeper-1"}, "keeper-1"),
        ({"POD_NAME": " "}, socket.gethostname()),
        ({}, socket.gethostname()),
    ],
)
def test_a_keeper_goes_by_the_name_of_its_pod(environment, name):
    assert identity(environment) == name
