"""The parts of a pull job that read and write objects of Kubernetes: nodes, pods."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kip.errors import Forbidden
from kip.pulljob.executor import is_final
from kip.pulljob.planner import PodStart
from kip.pulljob.pod import RESOURCES, Shape, pod_name, render_pod
from kip.pulljob.pod_view import ContainerReport, PullFailure, read_pod
from kip.pulljob.spec import Labels, PullJob, short_hash
from kip.pulljob.targets import Skipped, TargetNode, nodes_of, read_node, select

JOB = PullJob("job", "images", ("x/a:1", "x/b:2"), "0123456789")
SHAPE = Shape("x/sleep:1")
START = PodStart("node1", 3, (0, 1))


def node(name: str, *, ready: bool = True, taints: tuple = (), system: str = "linux", **labels: str) -> dict:
    condition = {"type": "Ready", "status": "True" if ready else "Unknown"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": system, **labels}},
        "spec": {"taints": list(taints)},
        "status": {"conditions": [{**condition, "lastTransitionTime": "2026-11-21T08:00:00Z"}]},
    }


def pod(**status: object) -> dict:
    made = render_pod(JOB, START, SHAPE)
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2026-11-21T08:00:00Z"}
    return made | {"status": status}


def statuses(**states: dict) -> list[dict]:
    names = {"a": f"image-{short_hash('x/a:1')}", "b": f"image-{short_hash('x/b:2')}"}
    return [{"name": names[name], **state} for name, state in states.items()]


RAN = {
    "imageID": "x@sha256:1",
    "state": {
        "terminated": {
            "exitCode": 0,
            "startedAt": "2026-11-21T08:00:09Z",
            "finishedAt": "2026-11-21T08:00:09Z",
        }
    },
}


# Nodes.


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, ["a", "b", "c"]),
        ({"node_names": ("c", "a")}, ["a", "c"]),
        ({"node_labels": Labels()}, ["a", "b", "c"]),
        ({"node_labels": Labels({"pool": "x"})}, ["a"]),
        ({"node_labels": Labels({}, ({"key": "pool", "operator": "NotIn", "values": ["x"]},))}, ["b", "c"]),
        ({"pod_labels": Labels({"app": "web"})}, ["b"]),
    ],
)
def test_nodes_are_chosen_by_names_labels_or_pods(chosen, names):
    views = [read_node(one) for one in (node("c"), node("a", pool="x"), node("b", pool="y"))]
    assert [target.name for target in select(replace(JOB, **chosen), views, {"b"}).nodes] == names


def test_names_without_a_node_are_told():
    targets = select(replace(JOB, node_names=("a", "gone")), [read_node(node("a"))])
    assert targets.nodes == (TargetNode("a"), TargetNode("gone", missing=True))


def test_where_nodes_may_not_be_listed_named_ones_are_taken_to_be_there():
    assert select(replace(JOB, node_names=("b", "a")), None).nodes == (TargetNode("a"), TargetNode("b"))


def test_virtual_and_windows_nodes_are_left_out_with_a_reason():
    virtual = {"key": "virtual-kubelet.io/provider", "effect": "NoSchedule"}
    found = [
        node("w", system="windows"),
        node("v", type="virtual-kubelet"),
        node("t", taints=(virtual,)),
        node("l"),
    ]
    targets = select(JOB, [read_node(one) for one in found])
    assert [target.name for target in targets.nodes] == ["l"]
    assert {skipped.node for skipped in targets.skipped} == {"w", "v", "t"}
    assert Skipped("t", "a virtual node has no image store") in targets.skipped


def test_a_node_that_is_not_ready_is_away_since_then():
    assert read_node(node("a", ready=False)).away_since == datetime(2026, 11, 21, 8, tzinfo=UTC)


def test_only_active_pods_that_are_bound_lead_to_nodes():
    pods = [
        {"metadata": {}, "spec": {"nodeName": "a"}, "status": {"phase": "Running"}},
        {"metadata": {}, "spec": {"nodeName": "b"}, "status": {"phase": "Succeeded"}},
        {"metadata": {"deletionTimestamp": "x"}, "spec": {"nodeName": "c"}, "status": {"phase": "Running"}},
        {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}},
    ]
    assert nodes_of(pods) == {"a"}


# Pods.


def test_a_pod_has_the_shape_of_restricted_and_ends_by_itself():
    found = render_pod(JOB, START, SHAPE)
    spec = found["spec"]
    assert (spec["nodeName"], spec["restartPolicy"]) == ("node1", "Never")
    assert spec["activeDeadlineSeconds"] == 2 * 600 + 300
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["automountServiceAccountToken"] is False
    assert "imagePullSecrets" not in spec
    assert [one["image"] for one in spec["containers"]] == ["x/a:1", "x/b:2"]
    assert {one["args"][0] for one in spec["containers"]} == {"0s"}
    assert all(one["resources"] == RESOURCES for one in [*spec["containers"], *spec["initContainers"]])


def test_a_pod_carries_what_the_job_says_and_its_own_labels_win():
    job = replace(
        JOB,
        pull_secrets=("s",),
        pull_policy="Always",
        sandbox_labels={"team": "t", "kip.dev/pull-job": "theirs"},
        sandbox_annotations={"net": "fast"},
        keep_seconds=7200,
    )
    found = render_pod(job, START, SHAPE)
    labels = found["metadata"]["labels"]
    assert (labels["team"], labels["kip.dev/pull-job"]) == ("t", JOB.key)
    assert found["metadata"]["annotations"]["net"] == "fast"
    assert found["spec"]["imagePullSecrets"] == [{"name": "s"}]
    assert {(one["imagePullPolicy"], one["args"][0]) for one in found["spec"]["containers"]} == {
        ("Always", "7200s")
    }
    assert found["spec"]["activeDeadlineSeconds"] == 2 * 600 + 300 + 7200


def test_on_openshift_the_user_is_the_projects():
    found = render_pod(JOB, START, Shape("x/sleep:1", on_openshift=True))["spec"]
    assert "runAsUser" not in found["securityContext"]
    assert "runAsUser" not in found["initContainers"][0]["securityContext"]


def test_the_name_is_the_same_for_the_same_pod_and_no_other():
    assert pod_name(JOB, START) == pod_name(JOB, START)
    assert len({pod_name(JOB, PodStart(name, serial, ())) for name in "ab" for serial in (1, 2)}) == 4


def test_an_image_is_there_when_the_runtime_names_it_and_not_before():
    seen = read_pod(
        pod(phase="Pending", startTime="2026-11-21T08:00:01Z", containerStatuses=statuses(a=RAN, b={}))
    )
    assert [one.shown for one in seen.images] == [ContainerReport.PULLED, ContainerReport.WAITING]
    assert (seen.images[0].pull.digest, seen.images[0].pull.seconds) == ("x@sha256:1", 8.0)
    assert seen.moved == datetime(2026, 11, 21, 8, 0, 9, tzinfo=UTC)


def test_a_bad_image_says_what_the_kubelet_says():
    bad = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    seen = read_pod(pod(phase="Pending", containerStatuses=statuses(a=bad, b=RAN)))
    assert [one.fault for one in seen.images] == [PullFailure("ErrImagePull", "not found"), None]


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (
            {"phase": "Failed", "reason": "OutOfpods", "message": "too many"},
            PullFailure("OutOfpods", "too many"),
        ),
        (
            {"phase": "Succeeded"},
            PullFailure("NoImageID", "the pod has ended, and the runtime names no image"),
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": "copy-sleep", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
                ],
            },
            PullFailure("ErrImagePull", "init container copy-sleep: no"),
        ),
    ],
)
def test_what_keeps_the_whole_pod_from_starting_is_told_for_each_image(status, fault):
    assert {one.fault for one in read_pod(pod(**status)).images} == {fault}


def test_what_was_pulled_counts_also_when_the_pod_failed_later():
    seen = read_pod(pod(phase="Failed", reason="Evicted", containerStatuses=statuses(a=RAN)))
    assert [one.shown for one in seen.images] == [ContainerReport.PULLED, ContainerReport.FAILED]


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ('pods is forbidden: User "x" cannot create resource "pods" in API group ""', True),
        ("admission webhook denied: images from registry.example cannot be used here", False),
        ("exceeded quota: few", False),
    ],
)
def test_only_a_missing_right_is_about_the_caller(message, final):
    assert is_final(Forbidden(message)) is final
