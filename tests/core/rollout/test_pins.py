"""Per node: what a roll would let go of, and what still depends on a stand-in."""

import pytest
from samples import pod

from kip.core.render.image_names import ImageNames
from kip.core.rollout.cache_pods import CachePod, read_cache_pods
from kip.core.rollout.pins import (
    nodes_without_room_for_two,
    pins_at_risk,
    stalled_nodes,
    still_needed,
    unschedulable_nodes,
    without_pods,
)

A, B = "registry.example/a:1", "registry.example/b:1"
BOTH = frozenset({A, B})


@pytest.mark.parametrize(
    ("pods", "danger"),
    [
        ([pod(A, ready=True)], {}),
        ([pod(A)], {"n1": {A}}),
        ([pod()], {}),
        ([pod("registry.example/unwanted:1")], {}),
        ([pod(A, silent=True)], {}),
        ([pod(A, ready=True, born="1"), pod(A, born="2")], {}),
        ([pod(A, ready=True, born="1"), pod(A, B, born="2")], {"n1": {A, B}}),
        ([pod(A, ready=True, born="2"), pod(A, born="2")], {"n1": {A}}),
        ([pod(A, ready=True, born="2"), pod(B, born="1")], {"n1": {A, B}}),
        ([pod(A), pod(A, node="n2", ready=True)], {"n1": {A}}),
        ([pod(A, owner="somebody")], {}),
    ],
    ids=[
        "a pod that is ready outlives the roll",
        "one that is not goes at once",
        "one without pins has nothing to lose",
        "what is not wanted may go",
        "on a node that is away nothing can be done",
        "the oldest one outlives the roll",
        "what only a younger one holds goes with it",
        "which of two of the same second is kept nobody knows",
        "the oldest one is not ready",
        "each node for itself",
        "pods of others",
    ],
)
def test_what_a_roll_endangers(pods, danger):
    assert pins_at_risk(pods, "cache", BOTH, template="next", by_any_roll=False) == danger


def test_a_roll_to_holders_endangers_everything():
    assert pins_at_risk([pod(A, ready=True)], "cache", BOTH, template="next", by_any_roll=True) == {"n1": {A}}


def test_a_node_that_has_the_newest_pod_already_is_not_rolled():
    assert pins_at_risk([pod(A)], "cache", BOTH, template="new", by_any_roll=True) == {}


OLD, WAITING = {"template": "old", "ready": True}, {"homeless": True, "settled": False}


@pytest.mark.parametrize(
    ("pods", "squeezed"),
    [
        ([pod(A, **OLD), pod(**WAITING, squeezed=True)], {"n1"}),
        ([pod(A, **OLD), pod(**WAITING)], set()),
        ([pod(**WAITING, squeezed=True)], set()),
        ([pod(A, **OLD), pod(A)], set()),
        ([pod(A, **OLD), pod(**WAITING, squeezed=True), pod(node="n2", **WAITING)], set()),
    ],
    ids=[
        "no memory for two",
        "no place for one more pod",
        "nothing to exchange it with",
        "both have a place",
        "another node has no place for one more pod",
    ],
)
def test_squeezed_nodes_have_room_for_one_of_two_pods(pods, squeezed):
    assert nodes_without_room_for_two(pods, "cache", "new") == squeezed


def test_what_a_net_holds_is_not_endangered():
    assert without_pods({"n1": BOTH}, [pod(A, owner="net")], {"net"}) == {"n1": {B}}


def needed(*pods: CachePod, counted=True, others=(), given_up=False, surges=True):
    return still_needed(
        pods,
        "net",
        cache="cache",
        template="new",
        images=BOTH,
        others=set(others),
        surges=surges,
        counted=counted,
        given_up=lambda _: given_up,
    )


NET = pod(A, owner="net")


@pytest.mark.parametrize(
    ("pods", "held"),
    [
        ([NET, pod(A)], {}),
        ([NET, pod(A, template="old", ready=True)], {}),
        ([NET, pod(A, template="old")], {"n1": {A}}),
        ([NET, pod(B)], {"n1": {A}}),
        ([NET, pod(homeless=True, started=False)], {"n1": {A}}),
        ([NET], {}),
        ([pod(A, owner="net", silent=True), pod()], {}),
        ([pod("registry.example/unwanted:1", owner="net"), pod()], {}),
    ],
    ids=[
        "the newest pod holds it",
        "an older one that is ready will be kept",
        "an older one that is not will go",
        "the newest pod holds something else",
        "the newest pod finds no place",
        "the cache does not want this node any more",
        "the node is away",
        "it is not wanted any more",
    ],
)
def test_what_a_net_is_still_needed_for(pods, held):
    assert needed(*pods) == held


def test_while_nodes_are_being_counted_a_node_without_a_pod_needs_its_net():
    assert needed(NET, counted=False) == {"n1": {A}}


def test_where_pods_are_exchanged_one_for_one_an_older_one_that_is_ready_goes_too():
    assert needed(NET, pod(A, template="old", ready=True), surges=False) == {"n1": {A}}


def test_what_another_net_holds_needs_no_second():
    assert needed(NET, pod(), pod(A, owner="other"), others=["other"]) == {}


@pytest.mark.parametrize(("given_up", "held"), [(False, {"n1": {A}}), (True, {})])
def test_a_kubelet_that_never_took_up_its_pod_is_given_up(given_up, held):
    assert needed(NET, pod(started=False), given_up=given_up) == held


@pytest.mark.parametrize(
    ("pods", "stalled"),
    [
        ([pod(A)], 1),
        ([pod(A, settled=False)], 0),
        ([pod(A, ready=True)], 0),
        ([pod(A, template="old")], 0),
        ([pod(homeless=True, settled=False)], 1),
        ([pod(A), pod(A, node="n2")], 2),
    ],
    ids=["fails", "still pulls", "ready", "not its turn yet", "no place", "two nodes"],
)
def test_stalled_nodes_wait_for_a_cure(pods, stalled):
    assert stalled_nodes(pods, "cache", "new") == stalled


def test_homeless_nodes_are_those_of_the_cache():
    assert unschedulable_nodes([pod(homeless=True), pod(homeless=True, node="n2", owner="net")], "cache") == {
        "n1"
    }


def manifest(*states: dict, ready=False, scheduled=True, **metadata) -> dict:
    names = [f"c{number}" for number in range(len(states))]
    statuses = [
        {"name": name, "state": state, "ready": "running" in state}
        for name, state in zip(names, states, strict=True)
    ]
    return {
        "metadata": {"ownerReferences": [{"uid": "cache", "controller": True}], **metadata},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": name, "image": f"registry.example/{name}:1"} for name in names],
        },
        "status": {
            "startTime": "2026-11-21T08:00:00Z",
            "conditions": [
                {"type": "Ready", "status": str(ready)},
                {"type": "PodScheduled", "status": str(scheduled)},
            ],
            "containerStatuses": statuses,
        },
    }


RUNNING, PULLING = {"running": {}}, {"waiting": {"reason": "ContainerCreating"}}
FAILING = {"waiting": {"reason": "ImagePullBackOff"}}


def read(*states: dict, **values) -> CachePod:
    (only,) = read_cache_pods([manifest(*states, **values)], ImageNames())
    return only


def test_a_pod_pins_the_images_of_running_containers():
    assert read(RUNNING, PULLING).pins == {"registry.example/c0:1"}


def test_a_pod_that_is_being_deleted_pins_nothing():
    assert read_cache_pods([manifest(RUNNING, deletionTimestamp="2026-11-21T08:00:00Z")], ImageNames()) == ()


@pytest.mark.parametrize(
    ("states", "settled"), [([RUNNING, FAILING], True), ([RUNNING, PULLING], False), ([], False)]
)
def test_a_pod_is_settled_when_nothing_is_pulled_any_more(states, settled):
    assert read(*states).settled is settled


def test_a_pod_whose_containers_are_well_but_which_is_not_ready_is_on_a_node_that_is_away():
    assert (read(RUNNING).silent, read(RUNNING, ready=True).silent, read(FAILING).silent) == (
        True,
        False,
        False,
    )


def test_thousands_of_pods_share_the_sets_of_their_pins():
    first, second = read_cache_pods([manifest(RUNNING, RUNNING), manifest(RUNNING, RUNNING)], ImageNames())
    assert first.pins is second.pins


def test_a_pod_whose_init_container_fails_is_settled():
    found = manifest(PULLING)
    found["status"]["initContainerStatuses"] = [{"name": "copy-sleep", "state": FAILING, "ready": False}]
    (only,) = read_cache_pods([found], ImageNames())
    assert only.settled


@pytest.mark.parametrize(
    ("message", "squeezed"),
    [
        ("1 Insufficient memory", True),
        ("1 Too many pods", False),
        ("1 Insufficient cpu, 1 Too many pods", False),
    ],
)
def test_a_pod_is_squeezed_where_one_that_asks_for_nothing_would_fit(message, squeezed):
    found = manifest()
    found["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": message}]
    (only,) = read_cache_pods([found], ImageNames())
    assert only.squeezed is squeezed


def template(image: str, fingerprint: str = "", container: str = "c0") -> dict:
    annotations = {"annotations": {"kip.dev/template": fingerprint}} if fingerprint else {}
    containers = [{"name": container, "image": image}]
    return {"spec": {"template": {"metadata": annotations, "spec": {"containers": containers}}}}


@pytest.mark.parametrize(
    ("daemonsets", "image"),
    [
        ([], "registry.example/c0:1"),
        ([template("registry.example/c0:1"), template("other", "new")], "registry.example/c0:1"),
        ([template("docker.io/c0:1", "new"), template("docker.io/c0:2", "old")], "docker.io/c0:1"),
        ([template("docker.io/c0:1", "another")], "docker.io/c0:1"),
        ([template("docker.io/c0:2", "another")], "registry.example/c0:1"),
        ([template("docker.io/x:1", "another", "x")], "registry.example/c0:1"),
    ],
    ids=["as it is", "listed itself", "by the template", "by the name", "another tag by then", "unknown"],
)
def test_an_image_that_a_webhook_took_from_a_mirror_is_called_what_the_settings_call_it(daemonsets, image):
    found = manifest(RUNNING, annotations={"kip.dev/template": "new"})
    (only,) = read_cache_pods([found], ImageNames.by(daemonsets))
    assert only.pins == {image}


@pytest.mark.parametrize(("policy", "pulls"), [("Always", True), ("Never", False)])
def test_a_pod_tells_whether_its_kubelet_asks_the_registry(policy, pulls):
    found = manifest(RUNNING)
    found["spec"]["containers"][0]["imagePullPolicy"] = policy
    (only,) = read_cache_pods([found], ImageNames())
    assert only.pulls is pulls
