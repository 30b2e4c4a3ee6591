"""The plan: what is to be done, and why."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest
from samples import COMPLETE, OWNER, manifest, stored, upstream_cache

from kip.core.render.daemonset import REFRESHED_AT, Owner
from kip.core.rights import Rights, Rule
from kip.core.rollout.plan import Action, Observed, Target, Wanted, make_plan

PATCH = Rights((Rule(frozenset({"patch"}), frozenset({"apps"}), frozenset({"daemonsets"}), frozenset()),))
CREATED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)  # as samples.stored says


def plan(wanted, found, rights=PATCH, owner=OWNER):
    found = found and {"status": COMPLETE, **found}
    return make_plan(Wanted(Target(wanted, wanted)), Observed(found, owner, rights), lambda *_: 0.0)


def step(wanted, found, rights=PATCH):
    (only,) = plan(wanted, found, rights).steps
    return only


def test_nothing_there_is_created():
    assert step(manifest(), None).action is Action.CREATE


def test_a_cache_as_wanted_is_left_alone():
    assert plan(manifest(), stored(manifest())).steps == ()


def test_what_the_api_server_adds_by_itself_is_no_difference():
    expected = deepcopy(manifest())
    expected["spec"]["template"]["spec"]["schedulerName"] = "default-scheduler"
    found = stored(expected)

    seen = Observed(found, OWNER, PATCH)
    assert make_plan(Wanted(Target(manifest(), expected)), seen, lambda *_: 0.0).steps == ()


@pytest.mark.parametrize(("rights", "action"), [(PATCH, Action.APPLY), (Rights(), Action.REPLACE)])
def test_a_change_is_applied_as_the_rights_allow(rights, action):
    assert step(manifest("a=x:1.0.0"), stored(manifest()), rights).action is action


def test_an_edit_of_the_list_names_the_images():
    reasons = step(manifest("new=x:1.0.0"), stored(manifest("old=x:1.0.0"))).reasons
    assert reasons == ("image new is missing", "image old is not on the list")


def test_another_image_under_the_same_name_is_named():
    reasons = step(manifest("a=x:2.0.0"), stored(manifest("a=x:1.0.0"))).reasons
    assert reasons == ("image a: image differs",)


def test_a_hand_made_addition_is_drift():
    found = stored(manifest())
    found["spec"]["template"]["spec"]["nodeSelector"]["pool"] = "mine"
    assert step(manifest(), found).reasons == ("nodeSelector.pool differs",)


def test_a_changed_annotation_is_named():
    found = stored(manifest(DAEMONSET_ANNOTATIONS="a=1"))
    assert step(manifest(DAEMONSET_ANNOTATIONS="a=2"), found).reasons == ("annotation a differs",)


def test_an_annotation_of_kips_that_is_no_longer_wanted_is_removed():
    found = stored(manifest(DAEMONSET_ANNOTATIONS="a=1"))
    assert step(manifest(), found).reasons == ("annotation a is no longer wanted",)


def test_an_annotation_of_somebody_else_stays():
    found = stored(manifest())
    found["metadata"]["annotations"] = {"theirs": "1"}
    assert plan(manifest(), found).steps == ()


def test_a_missing_owner_is_named():
    found = stored(manifest(owner=None))
    assert step(manifest(), found).reasons == ("owner Deployment kubernetes-image-puller is missing",)


def test_a_foreign_daemonset_is_refused():
    found = upstream_cache(owner=Owner("other", "uid"))
    assert step(manifest(), found).action is Action.REFUSE


def test_an_upstream_cache_is_taken_over():
    assert step(manifest(), upstream_cache()).action is Action.APPLY


def test_a_daemonset_that_is_being_deleted_is_waited_for():
    found = stored(manifest(), deletionTimestamp="2026-11-21T09:00:00Z")
    assert step(manifest(), found).action is Action.WAIT


def test_many_differences_are_summed_up():
    wanted = manifest("\n".join(f"registry.example/a{number}:1.0.0" for number in range(40)))
    assert step(wanted, stored(manifest("b=x:1.0.0"))).reasons[-1] == "and 29 more"


def test_a_step_carries_what_it_looked_at():
    only = step(manifest("a=x:1.0.0"), stored(manifest(), generation=7))
    assert (only.uid, only.generation) == ("11111111-2222-3333-4444-555555555555", 7)


def refreshed(stamp):
    found = stored(manifest())
    found["spec"]["template"]["metadata"]["annotations"] = {REFRESHED_AT: stamp}
    return found


def test_a_due_refresh_gives_the_plan_its_reason():
    wanted = manifest()
    wanted["spec"]["template"]["metadata"]["annotations"] = {REFRESHED_AT: "2026-11-21T09:00:00Z"}
    assert step(wanted, refreshed("2026-11-21T08:00:00Z")).reasons == ("refresh is due",)
