"""A keeper that may not use the lease acts as if alone, and says so; one that may not know tries."""

import pytest
from fakes import EVERYTHING
from leasescene import CACHE

from kip.core.rights import Rights, Rule
from kip.errors import Forbidden, ServerError


def rule(*verbs: str, names: tuple[str, ...] = ()) -> Rule:
    return Rule(frozenset(verbs), frozenset({"coordination.k8s.io"}), frozenset({"leases"}), frozenset(names))


@pytest.mark.parametrize(
    "rights",
    [
        pytest.param(Rights((rule("get", "update", names=(CACHE[1],)), rule("create"))), id="least"),
        pytest.param(EVERYTHING, id="all"),
        pytest.param(Rights(incomplete=True), id="not listed"),
    ],
)
def test_with_the_rights_the_lease_is_used(scene, rights):
    scene.rights = rights
    scene.keeper("first").hold()
    assert not scene.keeper("second").hold()


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        pytest.param((), "get, create, update", id="none"),
        pytest.param((rule("get", "update"),), "create", id="no create"),
        pytest.param((rule("get", "create", "update", names=(CACHE[1],)),), "create", id="create by name"),
        pytest.param(
            (rule("get", "update", names=("other",)), rule("create")), "get, update", id="another's"
        ),
    ],
)
def test_without_the_rights_a_keeper_acts_as_if_alone(scene, rights, missing):
    scene.rights = Rights(rights)
    assert (scene.keeper().hold(), scene.cluster.calls) == (True, [])
    (line,) = scene.told("lease_not_used")
    assert line["problem"] == f"not granted: {missing}"
    assert "coordination.k8s.io" in line["remedy"]


def test_missing_rights_are_told_once(scene):
    scene.rights = Rights()
    assert scene.pass_time(600, scene.keeper()) == [True]
    assert len(scene.told("lease_not_used")) == 1


def test_without_the_rights_nothing_is_released(scene):
    scene.rights = Rights()
    alone = scene.keeper()
    alone.hold()
    alone.release()
    assert (scene.cluster.calls, scene.log[-1]["event"]) == ([], "lease_not_used")


def test_a_refusal_that_lasts_is_a_missing_right_too(scene):
    scene.cluster.failures["create leases"] = [Forbidden("no")] * 99
    it = scene.keeper()
    assert (it.hold(), scene.pass_time(55, it), scene.pass_time(5, it)) == (False, [False], [True])
    assert scene.told("lease_not_used")[0]["problem"] == "no"


def test_a_refusal_of_what_is_granted_is_only_an_error_at_first(scene):
    scene.cluster.failures["create leases"] = [Forbidden("the API server is just starting")]
    it = scene.keeper()
    assert (it.hold(), it.hold()) == (False, True)


def test_other_trouble_between_two_refusals_begins_the_patience_anew(scene):
    trouble = [Forbidden("not yet"), *[ServerError("down")] * 12, Forbidden("not yet")]
    scene.cluster.failures["create leases"] = trouble
    it = scene.keeper()
    it.hold()
    assert scene.pass_time(65, it) == [False]


def test_who_may_not_know_its_rights_takes_a_refusal_as_it_is(scene):
    scene.rights = Rights(incomplete=True)
    scene.cluster.failures["create leases"] = [Forbidden("no")]
    assert scene.keeper().hold()


def test_without_a_lease_a_keeper_is_never_surely_alone(scene):
    scene.rights = Rights()
    it = scene.keeper()
    assert (it.hold(), it.exclusive) == (True, False)


def test_rights_that_are_granted_later_are_used(scene):
    scene.rights = Rights()
    first = scene.keeper()
    first.hold()
    scene.rights = EVERYTHING
    assert scene.pass_time(60, first) == [True]
    assert scene.spec["holderIdentity"] == "first"
    assert scene.told("lease_acquired")
