"""On how many nodes cache pods are exchanged at once: MAX_SURGE, holders, and kubelets that refuse pods."""

from copy import deepcopy

import pytest
from guarding import FILLING, ILL, NEW, OLD, PATCH, A, cache, net, plan, uid
from samples import COMPLETE, OWNER, pod, stored

from kip.core.rights import Rights, Rule
from kip.core.rollout.bridge import fingerprint_of, placeholder_of
from kip.core.rollout.cache_pods import PodId
from kip.core.rollout.plan import Action, Observed, Target, Wanted, make_plan


def staged(found, *, budget="1", pods=None, others=(), waited=0.0, **observed):
    wanted = deepcopy(NEW)
    wanted["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = int(budget)
    holder = placeholder_of(wanted, adopts=found is None)
    stages = Wanted(Target(wanted, wanted), Target(holder, holder), budget)
    seen = Observed(found, OWNER, PATCH, tuple(others), pods, **observed)
    return make_plan(stages, seen, lambda *_: waited)


def limited(wanted: dict, status: dict) -> dict:
    found = cache(wanted, status)
    found["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = 1
    return found


def names(made) -> list[str]:
    return [item["name"] for item in made.steps[0].manifest["spec"]["template"]["spec"]["containers"]]


def test_a_limited_first_fill_begins_with_holders():
    assert names(staged(None)) == ["holder"]


def test_holders_that_find_pods_leave_them_alone():
    assert staged(None).steps[0].manifest["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_holders_that_find_no_place_are_not_waited_for_for_ever():
    crowded = {**COMPLETE, "currentNumberScheduled": 2, "numberReady": 2}
    found = stored(placeholder_of(NEW, adopts=True)) | {"status": crowded}
    assert staged(found, waited=99.0).steps


def test_a_rollout_that_does_not_move_gets_a_higher_limit_whatever_its_pods_say():
    rolling = {**COMPLETE, "updatedNumberScheduled": 1}
    pods = (pod(A, owner=uid(), template=fingerprint_of(NEW), settled=False),)
    (step,) = staged(limited(NEW, rolling), pods=pods, waited=301.0).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 2


@pytest.mark.parametrize(
    ("status", "waited", "rolls"), [(FILLING, 0.0, False), (COMPLETE, 0.0, True), (FILLING, 99.0, True)]
)
def test_the_list_is_rolled_in_when_the_holders_stand(status, waited, rolls):
    found = stored(placeholder_of(NEW, adopts=True)) | {"status": status}
    assert bool(staged(found, waited=waited).steps) is rolls


def test_a_limited_change_with_more_bad_pods_than_the_limit_goes_by_holders_under_a_net():
    bare = {**COMPLETE, "numberReady": 0, "numberAvailable": 0}
    pods = (*ILL, pod(A, owner=uid(), node="n2"))
    made = staged(limited(OLD, bare), pods=pods)
    held = (*pods, pod(A, owner="net"), pod(A, owner="net", node="n2"))
    then = staged(limited(OLD, bare), pods=held, others=[net(nodes=["n1", "n2"])])
    assert (made.steps[0].action, names(then)) == (Action.SPREAD, ["holder"])


def test_the_limit_is_raised_by_the_nodes_that_wait_for_a_cure():
    rolling = {**COMPLETE, "updatedNumberScheduled": 1}
    pods = (pod(A, owner=uid(), template=fingerprint_of(NEW)),)
    (step,) = staged(limited(NEW, rolling), pods=pods).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 2


def test_a_node_that_still_pulls_raises_nothing():
    rolling = {**COMPLETE, "updatedNumberScheduled": 1}
    pods = (pod(A, owner=uid(), template=fingerprint_of(NEW), settled=False),)
    assert staged(limited(NEW, rolling), pods=pods).steps == ()


def test_raising_the_limit_makes_no_new_pods():
    rolling = {**COMPLETE, "updatedNumberScheduled": 1}
    pods = (pod(A, owner=uid(), template=fingerprint_of(NEW)),)
    (step,) = staged(limited(NEW, rolling), pods=pods).steps
    assert step.spec["template"] == NEW["spec"]["template"]


SQUEEZED = (
    pod(A, owner=uid(), template="old", ready=True),
    pod(owner=uid(), template=fingerprint_of(NEW), homeless=True, squeezed=True, settled=False, born="2"),
)
HALF = {**COMPLETE, "updatedNumberScheduled": 1}


def test_pods_are_not_exchanged_one_for_one_where_no_net_can_be_spread():
    made = plan(cache(NEW, HALF), pods=SQUEEZED, waited=99.0, net_refused=True)
    assert (made.steps, made.pending != "") == ((), True)


def test_nodes_without_room_do_not_raise_the_limit_as_they_are_served_by_an_exchange():
    assert staged(limited(NEW, HALF), pods=SQUEEZED, waited=1.0).steps == ()


def test_where_no_net_can_be_spread_nodes_without_room_do_not_use_up_the_limit():
    (step,) = staged(limited(NEW, HALF), pods=SQUEEZED, waited=99.0, net_refused=True).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}


REFUSED = tuple(
    pod(owner=uid(), node="n1", born=str(number), refused=PodId(f"pod{number}", f"uid{number}"))
    for number in range(3)
)
ONE_FOR_ONE = {"maxSurge": 0, "maxUnavailable": "100%"}


def test_while_a_kubelet_refuses_pod_after_pod_the_controller_does_not_surge():
    (step,) = plan(cache(NEW), pods=REFUSED).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"] == ONE_FOR_ONE


def test_one_refused_pod_changes_nothing():
    assert plan(cache(NEW), pods=REFUSED[:1]).steps == ()


def slowed() -> dict:
    found = cache(NEW)
    found["spec"]["updateStrategy"]["rollingUpdate"] = dict(ONE_FOR_ONE)
    return found


def test_it_does_not_surge_until_the_last_refused_pod_is_gone():
    assert plan(slowed(), pods=REFUSED[:1]).steps == ()


def test_after_hours_without_a_new_one_it_does_whatever_is_left_over():
    (step,) = plan(slowed(), pods=REFUSED, waited=1001.0).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == "100%"


MAY_DELETE_PODS = Rights(
    (*PATCH.rules, Rule(frozenset({"delete"}), frozenset({""}), frozenset({"pods"}), frozenset()))
)


def test_what_a_flood_left_over_is_removed_but_for_the_newest_of_each_node():
    elsewhere = pod(owner=uid(), node="n2", refused=PodId("other", "uid"))
    (step,) = plan(slowed(), pods=(*REFUSED, elsewhere), rights=MAY_DELETE_PODS).steps
    assert (step.action, step.pods) == (Action.SWEEP, (PodId("pod0", "uid0"), PodId("pod1", "uid1")))


def test_it_is_not_where_that_was_refused():
    assert plan(slowed(), pods=REFUSED, rights=MAY_DELETE_PODS, sweep_refused=True).steps == ()


def test_it_is_not_while_the_flood_goes_on():
    (step,) = plan(cache(NEW), pods=REFUSED, rights=MAY_DELETE_PODS).steps
    assert step.action is Action.APPLY


def test_pods_of_nobody_and_pods_that_run_are_left_alone():
    pods = tuple(
        pod(owner="stranger", node="n1", refused=PodId(f"pod{number}", "uid")) for number in range(3)
    )
    running = pod(A, owner=uid(), node="n1")
    assert plan(slowed(), pods=(*pods, running), rights=MAY_DELETE_PODS).steps == ()


def test_nor_between_two_refusals():
    assert plan(slowed(), pods=(), waited=59.0).steps == ()


def test_after_a_minute_of_calm_it_surges_again():
    (step,) = plan(slowed(), pods=(), waited=61.0).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == "100%"


def test_after_the_rollout_the_limit_is_what_was_set():
    found = limited(NEW, COMPLETE)
    found["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = 3
    (step,) = staged(found, pods=()).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 1


FLOODED = (*REFUSED, pod(A, owner=uid(), node="n2"), pod(A, owner="net", node="n2"))


@pytest.mark.parametrize("strategy", [ONE_FOR_ONE, {"maxSurge": "100%", "maxUnavailable": 0}])
def test_an_edit_does_not_surge_either_while_a_kubelet_refuses_pods(strategy):
    found = cache(OLD)
    found["spec"]["updateStrategy"]["rollingUpdate"] = dict(strategy)
    (step,) = plan(found, pods=FLOODED, others=[net(nodes=["n2"])]).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"] == ONE_FOR_ONE


def test_but_it_does_where_no_net_can_be_spread():
    (step,) = plan(cache(OLD), pods=FLOODED, net_refused=True).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == "100%"


def test_nor_where_the_flooded_node_still_holds_something():
    pods = (*FLOODED, pod(A, owner=uid(), node="n1", ready=True))
    there = net(nodes=["n1", "n2"], status=FILLING)
    (step,) = plan(cache(OLD), pods=pods, others=[there], waited=400.0).steps
    assert step.manifest["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == "100%"
