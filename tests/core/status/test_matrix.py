"""The matrix of nodes and images, from pods as kubelets report them."""

from datetime import UTC, datetime, timedelta

import pytest
from samples import manifest, stored

from kip.core.status.cell import ImageState
from kip.core.status.excluded_nodes import ExcludedNode
from kip.core.status.matrix import read_matrix, to_document, with_left_out
from kip.core.status.pod_status import node_of

IMAGES = "tools=registry.example/tools:1.4.2;ide=registry.example/ide:next"
DIGEST = "registry.example/tools@sha256:" + "ab" * 32
COPIED = [
    {"name": "copy-sleep", "ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
]
RUNNING = {"running": {"startedAt": "2026-11-21T08:00:00Z"}}


def cache(
    *, nodes: int = 1, generation: int = 1, observed: int = 1, ready: int | None = None, images=IMAGES
) -> dict:
    found = stored(manifest(images), generation=generation)
    found["status"] = {
        "observedGeneration": observed,
        "desiredNumberScheduled": nodes,
        "updatedNumberScheduled": nodes,
        "numberReady": nodes if ready is None else ready,
    }
    return found


def waiting(reason: str, message: str = "") -> dict:
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    node: str = "node1", *, images=IMAGES, init=COPIED, states=(RUNNING, RUNNING), uid="", **status
) -> dict:
    """Return a cache pod whose containers are in these states."""
    spec = manifest(images)["spec"]["template"]["spec"]
    statuses = [
        {
            "name": item["name"],
            "image": item["image"],
            "imageID": DIGEST if state is RUNNING else "",
            "state": state,
        }
        for item, state in zip(spec["containers"], states, strict=True)
    ]
    owner = uid or stored(manifest(images))["metadata"]["uid"]
    return {
        "metadata": {"name": f"cache-{node}", "ownerReferences": [{"kind": "DaemonSet", "uid": owner}]},
        "spec": {**spec, "nodeName": node},
        "status": {
            "phase": "Running",
            "initContainerStatuses": init,
            "containerStatuses": statuses,
            **status,
        },
    }


def states(found: dict, *pods: dict) -> list[ImageState]:
    return [cell.state for cell in read_matrix(found, pods).cells]


def test_a_running_container_is_a_cached_image():
    assert states(cache(), pod()) == [ImageState.CACHED, ImageState.CACHED]


def test_a_cached_image_has_the_runtimes_digest():
    assert read_matrix(cache(), [pod()]).cells[0].digest == DIGEST


@pytest.mark.parametrize(
    "reason",
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerError",
        "CrashLoopBackOff",
    ],
)
def test_a_fault_has_the_kubelets_reason(reason):
    cell = read_matrix(cache(), [pod(states=(waiting(reason, "why"), RUNNING))]).cells[0]
    assert (cell.state, cell.reason, cell.message) == (ImageState.FAILED, reason, "why")


def test_one_bad_image_leaves_the_others_cached():
    assert states(cache(ready=0), pod(states=(waiting("ErrImagePull"), RUNNING))) == [
        ImageState.FAILED,
        ImageState.CACHED,
    ]


def test_a_container_that_was_killed_is_a_fault():
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    assert states(cache(), pod(states=(ended, RUNNING)))[0] is ImageState.FAILED


CRASHED = {
    "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s restarting failed container=tools"}
}


def crashed(**ended) -> dict:
    """Return a pod whose first container crashed for the fourth time, and waits."""
    found = pod(states=(CRASHED, RUNNING))
    last = {"terminated": {"finishedAt": "2026-11-21T08:00:00Z", **ended}}
    found["status"]["containerStatuses"][0] |= {"restartCount": 3, "lastState": last}
    return found


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, "exit code 137; back-off 1m20s restarting"),
        ({"reason": "StartError", "message": "no memory"}, "no memory; back-off 1m20s restarting"),
    ],
)
def test_a_container_that_crashes_again_and_again_tells_what_ended_it(ended, message):
    cell = read_matrix(cache(), [crashed(**ended)]).cells[0]
    assert (cell.reason, cell.message.startswith(message)) == (ended["reason"], True)


def test_a_container_that_crashes_tells_its_attempts_and_the_next_one():
    cell = read_matrix(cache(), [crashed(reason="OOMKilled", exitCode=137)]).cells[0]
    assert (cell.attempts, cell.next_try) == (4, "2026-11-21T08:01:20Z")


def test_images_are_pulled_one_by_one_in_order():
    starting = waiting("PodInitializing")
    assert states(cache(), pod(states=(starting, starting))) == [ImageState.PULLING, ImageState.WAITING]


def test_the_next_image_is_pulled_when_one_runs():
    assert states(cache(), pod(states=(RUNNING, waiting("PodInitializing")))) == [
        ImageState.CACHED,
        ImageState.PULLING,
    ]


def test_nothing_is_pulled_before_the_sleeper_is_copied():
    starting = waiting("PodInitializing")
    busy = [{"name": "copy-sleep", "ready": False, "state": {"running": {}}}]
    assert states(cache(), pod(init=busy, states=(starting, starting))) == [
        ImageState.WAITING,
        ImageState.WAITING,
    ]


def test_a_failing_sleeper_image_is_told_for_every_image():
    starting = waiting("PodInitializing")
    failing = [{"name": "copy-sleep", "ready": False, "state": waiting("ImagePullBackOff", "no such image")}]
    cells = read_matrix(cache(), [pod(init=failing, states=(starting, starting))]).cells
    assert {(cell.state, cell.reason, cell.message) for cell in cells} == {
        (ImageState.FAILED, "ImagePullBackOff", "init container copy-sleep: no such image")
    }


def unscheduled(node: str = "node1") -> dict:
    found = pod(node)
    del found["spec"]["nodeName"]
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    found["spec"]["affinity"] = {"nodeAffinity": required}
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "Too many pods",
    }
    found["status"] = {"phase": "Pending", "conditions": [condition]}
    return found


def test_a_pod_without_a_place_has_the_schedulers_words():
    cell = read_matrix(cache(), [unscheduled()]).cells[0]
    assert (cell.state, cell.reason, cell.message) == (ImageState.ABSENT, "Unschedulable", "Too many pods")


def test_a_pod_without_a_place_still_names_its_node():
    assert node_of(unscheduled("node7")) == "node7"


def test_an_evicted_pod_is_absent():
    found = pod(phase="Failed", reason="Evicted", message="disk pressure")
    cell = read_matrix(cache(), [found]).cells[0]
    assert (cell.state, cell.reason) == (ImageState.ABSENT, "Evicted")


def test_the_pod_after_one_that_was_refused_is_waiting_for_the_same_reason():
    refused = pod(phase="Failed", reason="Evicted", message="disk pressure", containerStatuses=None)
    new = pod(initContainerStatuses=None, containerStatuses=None)
    cell = read_matrix(cache(), [refused, new]).cells[0]
    assert (cell.state, cell.reason, cell.message) == (ImageState.WAITING, "Evicted", "disk pressure")


def test_a_pod_that_the_kubelet_has_not_seen_is_waiting():
    found = pod(initContainerStatuses=None, containerStatuses=None)
    assert states(cache(), found) == [ImageState.WAITING, ImageState.WAITING]


SCHEDULED_AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def condition(kind: str, status: str, **values: str) -> dict:
    return {"type": kind, "status": status, "lastTransitionTime": "2026-11-21T08:00:00Z", **values}


@pytest.mark.parametrize(
    ("seconds", "reason"), [(29, ""), (31, "KubeletSilent")], ids=["just now", "long ago"]
)
def test_a_kubelet_that_never_takes_up_a_pod_is_told(seconds, reason):
    found = pod(
        initContainerStatuses=None, containerStatuses=None, conditions=[condition("PodScheduled", "True")]
    )
    cells = read_matrix(cache(), [found], now=SCHEDULED_AT + timedelta(seconds=seconds)).cells
    assert [(cell.state, cell.reason) for cell in cells] == [(ImageState.WAITING, reason)] * 2


def test_a_kubelet_that_has_taken_up_a_pod_is_not_silent():
    found = pod(
        initContainerStatuses=None,
        containerStatuses=None,
        conditions=[condition("PodScheduled", "True")],
        startTime="2026-11-21T08:00:01Z",
    )
    cells = read_matrix(cache(), [found], now=SCHEDULED_AT + timedelta(hours=1)).cells
    assert {cell.reason for cell in cells} == {""}


LOST = [condition("Ready", "False"), condition("ContainersReady", "True")]


def test_what_a_lost_node_said_last_is_not_certain():
    (cell, _) = read_matrix(cache(), [pod(conditions=LOST)]).cells
    assert (cell.state, cell.reason, cell.digest) == (ImageState.WAITING, "NodeNotReady", DIGEST)
    assert cell.message == "the node is not heard of; its last word on this image: cached"


def test_a_lost_node_that_never_ends_its_pod_is_told():
    stuck = pod("node2", images="tools=registry.example/tools:1.4.2", states=(RUNNING,), conditions=LOST)
    stuck["metadata"]["deletionTimestamp"] = "2026-11-21T08:00:00Z"
    matrix = read_matrix(cache(nodes=1), [pod("node1"), stuck])
    assert [(cell.reason, cell.message[-6:]) for cell in matrix.cells if cell.node == "node2"] == [
        ("NodeNotReady", "cached"),
        ("NodeNotReady", "absent"),
    ]
    assert not matrix.complete


def test_a_lost_node_is_told_when_its_pod_was_left_behind_by_an_exchanged_daemonset():
    stuck = pod("node2", conditions=LOST)
    stuck["metadata"] |= {"deletionTimestamp": "2026-11-21T08:00:00Z", "ownerReferences": []}
    matrix = read_matrix(cache(nodes=1), [pod("node1"), stuck])
    assert [cell.reason for cell in matrix.cells if cell.node == "node2"] == ["NodeNotReady"] * 2


def test_a_lost_node_is_told_for_images_of_a_pod_that_it_never_saw():
    old = pod(images="tools=registry.example/tools:1.4.2", states=(RUNNING,), conditions=LOST)
    new = pod(initContainerStatuses=None, containerStatuses=None)
    assert [cell.reason for cell in read_matrix(cache(), [new, old]).cells] == ["NodeNotReady"] * 2


def test_a_pod_that_its_kubelet_calls_unready_is_on_no_lost_node():
    conditions = [
        condition("Ready", "False", reason="ContainersNotReady"),
        condition("ContainersReady", "False", reason="ContainersNotReady"),
    ]
    found = pod(states=(RUNNING, waiting("ErrImagePull")), conditions=conditions)
    assert states(cache(), found) == [ImageState.CACHED, ImageState.FAILED]


def test_during_a_roll_the_better_of_two_pods_counts():
    old, new = pod(), pod(states=(waiting("ErrImagePull"), waiting("PodInitializing")))
    assert states(cache(), new, old) == [ImageState.CACHED, ImageState.CACHED]


def test_a_pod_of_the_old_list_does_not_hold_a_new_image():
    old = pod(images="tools=registry.example/tools:1.4.2", states=(RUNNING,))
    assert states(cache(), old) == [ImageState.CACHED, ImageState.ABSENT]


def on_its_way_out(node: str) -> dict:
    found = pod(node)
    found["metadata"]["deletionTimestamp"] = "2026-11-21T08:00:00Z"
    return found


def test_a_pod_that_is_being_deleted_pins_nothing():
    assert read_matrix(cache(), [on_its_way_out("node1")]).nodes == ()


def test_the_pod_that_replaces_a_deleted_one_tells_the_state():
    new = pod(states=(waiting("PodInitializing"), waiting("PodInitializing")))
    assert states(cache(), on_its_way_out("node1"), new) == [ImageState.PULLING, ImageState.WAITING]


def test_pods_of_another_daemonset_are_not_ours():
    assert read_matrix(cache(), [pod(uid="another")]).nodes == ()


def test_cells_stand_in_the_order_of_the_list_and_of_the_nodes():
    matrix = read_matrix(cache(nodes=2), [pod("node2"), pod("node1")])
    assert [(cell.name, cell.node) for cell in matrix.cells] == [
        ("tools", "node1"),
        ("tools", "node2"),
        ("ide", "node1"),
        ("ide", "node2"),
    ]


@pytest.mark.parametrize(
    ("found", "pods", "complete"),
    [
        pytest.param(cache(nodes=2), [pod("node1"), pod("node2")], True, id="all there"),
        pytest.param(cache(nodes=3), [pod("node1"), pod("node2")], False, id="a node without a pod"),
        pytest.param(
            cache(nodes=2),
            [pod("node1"), on_its_way_out("old")],
            False,
            id="a node that is left makes up for none",
        ),
        pytest.param(cache(), [pod(conditions=LOST)], False, id="a node that is not heard of"),
        pytest.param(cache(generation=2), [pod()], False, id="the status speaks of an older list"),
        pytest.param(cache(nodes=0), [], False, id="no node matches"),
        pytest.param(cache(), [pod(states=(RUNNING, waiting("ErrImagePull")))], False, id="a fault"),
    ],
)
def test_complete_is_said_only_when_it_is_certain(found, pods, complete):
    assert read_matrix(found, pods).complete is complete


def test_the_document_has_the_promised_keys():
    document = to_document(read_matrix(cache(), [pod()]))
    places = (document, document["nodes"], document["images"][0], document["cells"][0])
    assert [" ".join(place) for place in places] == [
        "apiVersion namespace daemonset generation complete nodes images cells",
        "wanted seen state without_pod refused left_out",
        "name image cached pulling waiting failed absent",
        "node name image state reason message digest since attempts pull_seconds size next_try",
    ]


GPU = ExcludedNode("gpu1", ("pool=gpu:NoSchedule", "node.kubernetes.io/not-ready:NoSchedule"))
LACKING = {"key": "pool", "operator": "Exists", "effect": "NoSchedule"}


def test_the_document_names_the_nodes_that_taints_leave_out_and_what_they_need():
    found = to_document(with_left_out(read_matrix(cache(), [pod()]), [GPU]))["nodes"]["left_out"]
    assert found == [{"node": "gpu1", "taints": [*GPU.taints], "tolerations": [LACKING]}]


def test_where_nodes_were_not_looked_at_the_document_does_not_say_that_none_is_left_out():
    assert to_document(read_matrix(cache(), [pod()]))["nodes"]["left_out"] is None


def test_a_node_that_a_taint_leaves_out_makes_no_cache_incomplete():
    found = with_left_out(read_matrix(cache(), [pod()]), [GPU])
    assert (found.complete, found.left_out) == (True, (GPU,))


def test_a_node_whose_pod_stayed_when_it_was_tainted_is_not_left_out():
    assert with_left_out(read_matrix(cache(), [pod("gpu1")]), [GPU]).left_out == ()


def test_the_document_counts_each_image():
    document = to_document(
        read_matrix(cache(nodes=2), [pod("node1"), pod("node2", states=(waiting("ErrImagePull"), RUNNING))])
    )
    assert [(row["cached"], row["failed"]) for row in document["images"]] == [(1, 1), (2, 0)]


@pytest.mark.parametrize(
    ("status", "seconds", "unstarted"),
    [("False", 4, True), ("False", 2, False), ("True", 60, False)],
    ids=["stuck", "just taken up", "set up"],
)
def test_a_pod_that_its_kubelet_cannot_set_up_is_known(status, seconds, unstarted):
    found = pod(
        phase="Pending",
        startTime="2026-11-21T08:00:00Z",
        conditions=[{"type": "PodReadyToStartContainers", "status": status}],
    )
    found["metadata"]["uid"] = "u1"
    now = datetime(2026, 11, 21, 8, 0, min(seconds, 59), tzinfo=UTC)
    assert read_matrix(cache(), [found], now=now).unstarted == ((("node1", "u1"),) if unstarted else ())


def test_an_image_whose_newest_pod_fails_is_cached_and_tells_so():
    failing = pod(states=(waiting("ErrImagePull", "why"), RUNNING))
    cell = read_matrix(cache(), [pod(), failing]).cells[0]
    assert (cell.state, cell.reason, cell.message) == (ImageState.CACHED, "ErrImagePull", "why")


def test_images_are_listed_while_no_node_has_a_pod():
    document = to_document(read_matrix(cache(nodes=2), []))
    assert [(row["name"], row["absent"]) for row in document["images"]] == [("tools", 2), ("ide", 2)]


LATER = datetime(2026, 11, 21, 8, 1, tzinfo=UTC)


def without_place(since: str = "2026-11-21T08:00:00Z") -> dict:
    found = unscheduled()
    found["status"]["conditions"][0]["lastTransitionTime"] = since
    return found


@pytest.mark.parametrize("order", [1, -1])
def test_an_image_whose_next_pod_finds_no_place_is_cached_and_tells_so(order):
    cell = read_matrix(cache(), [pod(), without_place()][::order], now=LATER).cells[0]
    assert (cell.state, cell.reason, cell.message) == (ImageState.CACHED, "Unschedulable", "Too many pods")


def test_an_exchange_of_pods_that_takes_a_moment_is_not_told():
    pods = [pod(), without_place("2026-11-21T08:00:59Z")]
    assert read_matrix(cache(), pods, now=LATER).cells[0].reason == ""


def test_a_condition_without_a_time_is_no_reason_to_fail():
    found = pod(conditions=[{"type": "PodScheduled", "status": "True", "lastTransitionTime": None}])
    found["status"]["containerStatuses"] = []
    assert read_matrix(cache(), [found], now=LATER).cells[0].state is ImageState.WAITING


def test_a_pod_on_a_node_that_is_selected_no_more_makes_up_for_none():
    found = cache(nodes=3)
    found["status"]["numberMisscheduled"] = 1
    matrix = read_matrix(found, [pod("a"), pod("b"), pod("left")])
    assert (matrix.complete, matrix.without_pod) == (False, 1)


def test_an_image_that_a_webhook_took_from_a_mirror_is_the_one_that_is_listed():
    found, mirrored = cache(), pod()
    mirrored["metadata"]["annotations"] = found["spec"]["template"]["metadata"]["annotations"]
    for item in mirrored["spec"]["containers"]:
        item["image"] = f"mirror.example/{item['image']}"
    assert states(found, mirrored) == [ImageState.CACHED, ImageState.CACHED]


def test_a_message_tells_no_password_and_steers_no_terminal():
    message = "\x1b]0;owned\x07https://bob:hunter2@registry.example"
    cell = read_matrix(cache(), [pod(states=(waiting("ErrImagePull", message), RUNNING))]).cells[0]
    assert ("hunter2" in cell.message, "\x1b" in cell.message, "registry.example" in cell.message) == (
        False,
        False,
        True,
    )


def test_what_keeps_a_pod_of_the_list_before_away_is_told_of_new_images_too():
    full = {"phase": "Failed", "reason": "Evicted", "message": "The node had condition: [DiskPressure]"}
    refused = pod(images="tools=registry.example/tools:1.4.2", states=(RUNNING,), **full)
    cells = read_matrix(cache(), [refused]).cells
    assert {(cell.state, cell.reason) for cell in cells} == {(ImageState.ABSENT, "Evicted")}
