"""What stands between a plan and a lost pin: nets, and their end."""

import json
from copy import deepcopy

import pytest
from guarding import FILLING, HELD, ILL, NEW, OLD, PATCH, A, B, action, cache, net, plan, uid
from samples import COMPLETE, OWNER, manifest, pod, stored, upstream_cache

from kip.core.render.daemonset import UPSTREAM_LABELS
from kip.core.rights import Rights
from kip.core.rollout.bridge import bridge_for, fingerprint_of, images_of, reaches
from kip.core.rollout.plan import Action, Observed, needs_pods


def test_a_healthy_cache_changes_without_a_net():
    assert action(cache(status=COMPLETE)) == "apply"


def test_a_pod_that_is_not_ready_needs_a_net_first():
    assert action(cache(), pods=ILL) == "spread"


def test_the_net_holds_what_is_pinned_and_still_wanted():
    (step,) = plan(cache(manifest("a=registry.example/a:1.0.0;c=c:1.0.0")), pods=ILL).steps
    assert images_of(step.manifest) == {A}


def test_the_net_is_spread_only_where_it_is_needed():
    (step,) = plan(cache(), pods=(*ILL, pod(A, owner=uid(), node="n2", ready=True))).steps
    terms = step.manifest["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert [
        field["values"]
        for term in terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for field in term["matchFields"]
    ] == [["n1"]]


def test_a_net_that_does_not_hold_yet_is_waited_for():
    assert action(cache(), pods=ILL, others=[net(nodes=["n1"])]) == "wait"


def test_a_net_that_holds_lets_the_change_happen():
    assert action(cache(), pods=HELD, others=[net(nodes=["n1"])]) == "apply"


def test_a_net_that_lists_too_little_is_joined_by_another():
    pods = (pod(A, B, owner=uid()), pod(A, owner="net"))
    assert action(cache(), pods=pods, others=[net(nodes=["n1"])]) == "spread"


def test_while_the_controller_has_not_made_the_net_it_is_waited_for_longer():
    assert action(cache(), pods=ILL, others=[net(nodes=["n1"])], waited=99.0) == "wait"


def test_a_node_that_no_net_reaches_does_not_hold_up_the_others_for_ever():
    made = plan(cache(), pods=ILL, others=[net(nodes=["n1"], status=FILLING)], waited=99.0)
    assert (made.steps[0].action, made.steps[0].reasons[-1]) == (
        Action.APPLY,
        f"no net could be spread for {A} on n1",
    )


def test_where_a_net_is_refused_the_cache_changes_all_the_same():
    assert action(cache(), pods=ILL, net_refused=True) == "apply"


def test_a_change_that_makes_no_new_pods_needs_no_net():
    found = cache(NEW)
    found["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = 1
    assert action(found, pods=ILL) == "apply"


def test_a_net_goes_when_the_cache_holds_what_it_held():
    pods = (pod(A, owner=uid(), template=fingerprint_of(NEW)), pod(A, owner="net"))
    made = plan(cache(NEW), pods=pods, others=[net()])
    assert (made.steps[0].action, made.steps[0].name) == (Action.RETIRE, net()["metadata"]["name"])


def test_a_net_stays_while_it_alone_holds_an_image():
    pods = (pod(owner=uid(), template=fingerprint_of(NEW)), pod(A, owner="net"))
    made = plan(cache(NEW), pods=pods, others=[net()])
    assert made.pending == f"{net()['metadata']['name']} still holds {A} on n1"


# Without the right to read pods


def test_blind_a_complete_cache_changes_without_a_net():
    assert action(cache(status=COMPLETE), rights=Rights()) == "replace"


def test_blind_an_incomplete_cache_needs_a_net():
    assert action(cache(), rights=Rights()) == "spread"


def test_blind_the_net_holds_what_the_cache_lists_and_is_still_wanted():
    (step,) = plan(cache(), rights=Rights()).steps
    assert images_of(step.manifest) == {A}


@pytest.mark.parametrize(
    ("status", "waited", "what"),
    [(COMPLETE, 0.0, "replace"), (FILLING, 0.0, "wait"), (FILLING, 99.0, "replace"), ({}, 0.0, "wait")],
)
def test_blind_a_net_is_waited_for_until_it_is_complete_or_for_long_enough(status, waited, what):
    assert action(cache(), rights=Rights(), others=[net(status=status)], waited=waited) == what


@pytest.mark.parametrize(
    ("status", "waited", "what"),
    [(COMPLETE, 0.0, "retire"), (FILLING, 600.0, "wait"), (FILLING, 1801.0, "retire")],
)
def test_blind_a_net_goes_when_the_cache_is_complete_or_has_not_moved_for_half_an_hour(status, waited, what):
    assert action(cache(NEW, status), rights=Rights(), others=[net()], waited=waited) == what


def test_without_patch_a_net_remembers_the_selector_of_upstream():
    found = upstream_cache() | {"status": COMPLETE}
    (step,) = plan(found, rights=Rights()).steps
    assert json.loads(step.manifest["metadata"]["annotations"]["kip.dev/selector"]) == {
        "matchLabels": UPSTREAM_LABELS
    }


@pytest.mark.parametrize(
    ("found", "others", "asks"),
    [
        (None, (), False),
        (cache(NEW, COMPLETE), (), False),
        (cache(NEW), (), True),
        (cache(OLD, COMPLETE), (), False),
        (cache(OLD), (), True),
        (cache(NEW, COMPLETE), (net(),), True),
    ],
    ids=["no cache", "as wanted", "as wanted, filling", "to change, complete", "to change, filling", "a net"],
)
def test_pods_are_listed_only_when_the_plan_depends_on_them(found, others, asks):
    assert needs_pods(Observed(found, OWNER, PATCH, others)) is asks


def test_a_net_outlives_cache_pods_that_are_being_deleted():
    # They are not in the list of pods, but still in the controller's count of nodes.
    made = plan(cache(NEW), pods=(pod(A, owner="net"),), others=[net()])
    assert made.pending == f"{net()['metadata']['name']} still holds {A} on n1"


def test_pods_of_a_template_that_somebody_edited_are_not_taken_for_ours():
    found = cache(NEW)
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "theirs"
    assert action(found, pods=(pod(A, owner=uid(), template=fingerprint_of(NEW)),)) == "spread"


def test_a_cache_that_is_not_well_is_looked_at_now_and_then():
    assert plan(cache(NEW), pods=()).incomplete


EMPTY = {**COMPLETE, "currentNumberScheduled": 0, "numberReady": 0, "numberAvailable": 0}


def request_of(step) -> dict:
    return step.manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]


@pytest.mark.parametrize(
    ("rights", "pods", "others"),
    [(PATCH, ILL, [net(nodes=["n1"], status=EMPTY)]), (Rights(), None, [net(status=EMPTY)])],
    ids=["by pods", "blind"],
)
def test_where_pods_must_request_something_a_net_that_does_is_spread(rights, pods, others):
    (step,) = plan(cache(), pods=pods, rights=rights, others=others, waited=99.0).steps
    assert (step.action, request_of(step)) == (
        Action.SPREAD,
        NEW["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"],
    )


def test_no_third_net_is_tried():
    asking = stored(bridge_for(NEW, cache(), [A], ["n1"], free=False), uid="other") | {"status": EMPTY}
    made = plan(cache(), pods=ILL, others=[net(nodes=["n1"], status=EMPTY), asking], waited=301.0)
    assert made.steps[0].action is Action.APPLY


def test_the_third_net_is_spread_over_all_nodes():
    others = [net(nodes=["n5"]), net(nodes=["n6"])]
    (step,) = plan(cache(), pods=ILL, others=others).steps
    assert (step.action, reaches(step.manifest, ["n9"])) == (Action.SPREAD, True)


@pytest.mark.parametrize(("waited", "what"), [(99.0, "wait"), (301.0, "apply")])
def test_kubelets_that_have_to_ask_the_registry_get_more_time(waited, what):
    pods = (*ILL, pod(owner="net", pulls=True))
    assert action(cache(), pods=pods, others=[net(nodes=["n1"], status=COMPLETE)], waited=waited) == what


def test_node_names_in_the_users_affinity_are_not_those_of_a_net():
    term = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n5"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    wanted = deepcopy(NEW)
    wanted["spec"]["template"]["spec"]["affinity"] = {"nodeAffinity": required}
    assert reaches(bridge_for(wanted, cache(), [A]), ["n1"])


def test_blind_a_net_for_some_nodes_is_not_enough():
    assert action(cache(), rights=Rights(), others=[net(nodes=["n1"], status=COMPLETE)]) == "spread"


def test_a_useless_net_beside_a_good_one_costs_no_patience():
    good = stored(bridge_for(NEW, cache(), [A], ["n1"], free=False), uid="other") | {"status": COMPLETE}
    others = [net(nodes=["n1"], status=EMPTY), good]
    assert action(cache(), pods=ILL, others=others, waited=21.0) == "apply"


def test_a_net_that_takes_over_from_a_former_cache_stays_until_it_has():
    former = stored(manifest(f"a={A}", DAEMONSET_NAME="former"), uid="former")
    squeezed = pod(owner=uid(), template=fingerprint_of(NEW), homeless=True, settled=False)
    pods = (pod(A, owner="former", ready=True), squeezed)
    made = plan(cache(NEW), pods=pods, others=[former, net(nodes=["n1"])], waited=99.0)
    assert (made.steps, "former still holds" in made.pending) == ((), True)


@pytest.mark.parametrize("note", ["", "{", "7"])
def test_a_note_that_somebody_spoilt_limits_no_net(note):
    spoilt = net(nodes=["n1"])
    spoilt["metadata"]["annotations"]["kip.dev/nodes"] = note
    assert reaches(spoilt, ["n2"])


def dying(*finalizers: str) -> dict:
    found = cache()
    found["metadata"] |= {"deletionTimestamp": "2026-11-21T08:00:00Z", "finalizers": list(finalizers)}
    return found


@pytest.mark.parametrize(
    ("found", "waited", "what"),
    [
        (dying("foregroundDeletion"), 44.0, "wait"),
        (dying("foregroundDeletion"), 46.0, "release"),
        (dying("orphan"), 46.0, "wait"),
    ],
)
def test_a_deletion_that_waits_for_dead_nodes_is_ended(found, waited, what):
    assert action(found, waited=waited) == what


def test_without_the_right_to_end_it_the_remedy_is_told():
    made = plan(dying("foregroundDeletion"), rights=Rights(), waited=46.0)
    assert "grant patch on daemonsets" in made.pending


@pytest.mark.parametrize("pods", [None, ()])
@pytest.mark.parametrize(
    ("their_start", "waited", "done"), [("2", 0.0, "wait"), ("2", 700.0, "retire"), ("0", 0.0, "retire")]
)
def test_a_net_of_a_keeper_that_started_later_is_left_to_it(pods, their_start, waited, done):
    theirs = net()
    theirs["metadata"]["annotations"]["kip.dev/written-by"] = f"{their_start} other"
    seen = cache(NEW, COMPLETE)
    assert action(seen, pods=pods, others=[theirs], waited=waited, started="1") == done
