"""Which nodes a DaemonSet's pods go to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.core.render.node_selection import (
    AUTOMATIC,
    is_selected,
    left_out_nodes,
    may_add_nodes,
    selected_nodes,
    tolerates,
    untolerated,
)
from kip.core.status.excluded_nodes import ExcludedNode

WORDS = st.sampled_from(["", "a", "b", "5", "7"])
LABELS = st.dictionaries(st.sampled_from("xyz"), WORDS)
EFFECTS = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
TAINTS = st.fixed_dictionaries({"key": st.sampled_from("xyz"), "value": WORDS, "effect": EFFECTS})
TOLERATIONS = st.fixed_dictionaries(
    {"key": st.sampled_from(["", "x", "y"]), "operator": st.sampled_from(["", "Equal", "Exists"])},
    optional={"value": WORDS, "effect": EFFECTS},
)


def node(labels: dict | None = None, *taints: dict, name: str = "n1") -> dict:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def required(*terms: dict) -> dict:
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": rule}}


def expression(key: str, operator: str, *values: str) -> dict:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@given(LABELS, LABELS)
def test_a_selector_takes_the_nodes_that_have_all_its_labels(labels, selector):
    assert is_selected(node(labels), {"nodeSelector": selector}) is (selector.items() <= labels.items())


@given(LABELS, st.sampled_from("xyz"), st.lists(WORDS, min_size=1))
def test_not_in_takes_what_in_does_not(labels, key, values):
    taken = {
        operator: is_selected(node(labels), required(expression(key, operator, *values)))
        for operator in ("In", "NotIn")
    }
    assert taken["In"] is not taken["NotIn"]


@given(LABELS, st.sampled_from("xyz"))
def test_a_label_exists_or_does_not(labels, key):
    taken = [
        is_selected(node(labels), required(expression(key, operator)))
        for operator in ("Exists", "DoesNotExist")
    ]
    assert taken == [key in labels, key not in labels]


@pytest.mark.parametrize(
    ("label", "operator", "value", "taken"),
    [
        ("7", "Gt", "5", True),
        ("5", "Gt", "5", False),
        ("3", "Lt", "5", True),
        ("a", "Gt", "5", False),
        ("7", "Gt", "a", False),
    ],
)
def test_numbers_are_compared_and_words_match_nothing(label, operator, value, taken):
    assert is_selected(node({"x": label}), required(expression("x", operator, value))) is taken


def test_one_term_of_several_is_enough():
    pod = required(expression("x", "Exists"), expression("y", "Exists"))
    assert is_selected(node({"y": ""}), pod)


@pytest.mark.parametrize("terms", [[], [{}], [{"matchExpressions": []}]])
def test_a_term_without_requirements_takes_no_node(terms):
    assert not is_selected(node(), required(*terms))


def test_a_node_is_taken_by_its_name():
    pod = required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]})
    assert [is_selected(node(name=name), pod) for name in ("n1", "n2")] == [False, True]


def test_preferred_affinity_keeps_no_node_away():
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    assert is_selected(node(), {"affinity": {"nodeAffinity": preferred}})


@given(st.lists(TAINTS))
def test_exists_without_a_key_tolerates_every_taint(taints):
    assert untolerated(node({}, *taints), [{"operator": "Exists"}]) == ()


@given(st.lists(TAINTS), st.lists(TOLERATIONS), TOLERATIONS)
def test_one_more_toleration_never_keeps_a_node_away(taints, tolerations, more):
    before = untolerated(node({}, *taints), tolerations)
    after = untolerated(node({}, *taints), [*tolerations, more])
    assert all(taint in before for taint in after)


@given(st.lists(TAINTS))
def test_a_preference_keeps_no_node_away(taints):
    soft = [{**taint, "effect": "PreferNoSchedule"} for taint in taints]
    assert untolerated(node({}, *soft), []) == ()


@given(TAINTS)
def test_a_toleration_written_like_the_taint_covers_it(taint):
    assert tolerates({**taint, "operator": "Equal"}, taint)


@pytest.mark.parametrize(("taint", "covered"), [("7", False), ("3", True), ("a", False)])
def test_a_toleration_may_be_a_bound(taint, covered):
    toleration = {"key": "x", "operator": "Lt", "value": "5"}
    assert tolerates(toleration, {"key": "x", "value": taint, "effect": "NoSchedule"}) is covered


def test_daemonsets_go_to_cordoned_and_pressed_nodes_by_themselves():
    taints = [{"key": one["key"], "effect": one["effect"]} for one in AUTOMATIC]
    assert untolerated(node({}, *taints), []) == ()


def test_a_control_plane_node_needs_a_toleration():
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    assert untolerated(node({}, taint), []) == (taint,)


def test_a_node_is_gone_to_or_left_out_by_its_taints_or_not_selected_at_all():
    gpu = {"key": "pool", "value": "gpu", "effect": "NoSchedule"}
    nodes = [node({"os": "linux"}, gpu, name=name) for name in ("gpu2", "gpu1")]
    nodes += [node({"os": "linux"}, name="ours"), node({"os": "windows"}, gpu, name="theirs")]
    pod = {"nodeSelector": {"os": "linux"}}
    assert selected_nodes(pod, nodes) == {"ours"}
    assert left_out_nodes(pod, nodes) == tuple(
        ExcludedNode(name, ("pool=gpu:NoSchedule",)) for name in ("gpu1", "gpu2")
    )


LINUX = {"nodeSelector": {"os": "linux"}}
TAINTED = {"tolerations": [{"operator": "Exists"}]}
PLACED = {"affinity": {"nodeAffinity": {}}}


@pytest.mark.parametrize(
    ("wanted", "found", "more"),
    [
        (LINUX, {}, False),
        ({}, LINUX, True),
        ({"nodeSelector": {"os": "other"}}, LINUX, True),
        (TAINTED, {}, True),
        ({}, TAINTED, False),
        (PLACED, {}, False),
        ({}, PLACED, True),
        ({"affinity": {}, "tolerations": []}, {}, False),
    ],
)
def test_an_edit_that_only_narrows_the_choice_of_nodes_adds_none(wanted, found, more):
    assert may_add_nodes(wanted, found) is more
