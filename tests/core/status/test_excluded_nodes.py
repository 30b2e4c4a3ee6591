"""Nodes that taints leave out, in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.core.render.node_selection import tolerates
from kip.core.render.taints import is_passing, tolerations_for, written
from kip.core.status.excluded_nodes import ExcludedNode, remarks

GPU = "pool=gpu:NoSchedule"
TOLERATION = '{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}'
CONTROL = "node-role.kubernetes.io/control-plane:NoSchedule"
TAINTS = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["pool", "example.com/pool", "a.b_c-d"]),
        "effect": st.sampled_from(["NoSchedule", "NoExecute"]),
    },
    optional={"value": st.sampled_from(["", "gpu", "1.2_3-4"])},
)


@given(TAINTS)
def test_the_toleration_that_is_named_covers_the_taint(taint):
    (toleration,) = tolerations_for([written(taint)])
    assert tolerates(toleration, taint)


@pytest.mark.parametrize(
    "key",
    [
        *(
            f"node.kubernetes.io/{word}"
            for word in (
                "not-ready",
                "unreachable",
                "unschedulable",
                "disk-pressure",
                "memory-pressure",
                "pid-pressure",
                "network-unavailable",
                "out-of-service",
            )
        ),
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.cluster.x-k8s.io/uninitialized",
        "node.cilium.io/agent-not-ready",
        "karpenter.sh/unregistered",
        "ToBeDeletedByClusterAutoscaler",
    ],
)
def test_taints_of_nodes_that_come_or_are_ill_or_go_pass(key):
    assert all(is_passing(f"{key}{rest}") for rest in ("=x:NoSchedule", ":NoExecute"))


@pytest.mark.parametrize("taint", [GPU, CONTROL, "x=/agent-not-ready:NoSchedule"])
def test_a_taint_that_somebody_put_there_stays(taint):
    assert not is_passing(taint)


def test_the_message_names_the_taint_and_the_toleration():
    assert ExcludedNode("n1", (GPU,)).why == (
        "UntoleratedTaint",
        f"{GPU}; to cache there too, add {TOLERATION} to TOLERATIONS",
    )


def test_a_node_that_only_has_to_get_well_needs_no_toleration():
    reason, message = ExcludedNode("n1", ("node.kubernetes.io/not-ready:NoSchedule",)).why
    assert (reason, "not-ready:NoSchedule" in message, "TOLERATIONS" in message) == (
        "NodeNotReady",
        True,
        False,
    )


def test_nodes_that_lack_the_same_toleration_are_one_remark():
    found = [
        ExcludedNode("gpu1", (GPU,)),
        ExcludedNode("gpu2", ("pool=ml:NoSchedule",)),
        ExcludedNode("head", (CONTROL,)),
    ]
    other = json.dumps(*tolerations_for([CONTROL]))
    assert [*remarks(found)] == [
        f"2 selected nodes are left out by taints: gpu1, gpu2 ({GPU}, pool=ml:NoSchedule)",
        f"  Add {TOLERATION} to TOLERATIONS, or exclude them by NODE_SELECTOR or AFFINITY.",
        f"1 selected node is left out by taints: head ({CONTROL})",
        f"  Add {other} to TOLERATIONS, or exclude them by NODE_SELECTOR or AFFINITY.",
    ]


def test_nodes_that_are_ill_are_a_remark_of_their_own():
    line, remedy = remarks([ExcludedNode("n1", ("node.kubernetes.io/unreachable:NoSchedule",))])
    assert (line.startswith("1 selected node is left out"), "TOLERATIONS" in remedy) == (True, False)
