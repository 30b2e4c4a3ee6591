"""`kip wait`: its patience, what it reads, and what it says."""

import json
from random import Random

import pytest
from fakes import Clock, FakeCluster, deployment
from samples import manifest, stored

from kip.cli.cache_reader import CacheReader
from kip.cli.wait_loop import LONGEST_SECONDS, WaitLoop, WaitResult
from kip.cluster import list_pacing
from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.wait_condition import Goal, Observation, Result
from kip.errors import Forbidden, Unreachable

VALUES = {"NAMESPACE": "images"}
NAME = "kubernetes-image-puller"
ONE = "tools=registry.example/tools:1.4.2"
RUNNING = {"running": {}}
PULLING = {"waiting": {"reason": "ContainerCreating"}}
FAILING = {"waiting": {"reason": "ErrImagePull", "message": "registry.example/tools:1.4.2: not found"}}


def cache(nodes: int, images: str = ONE, **metadata) -> dict:
    counts = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady")
    status = {"observedGeneration": 1, **dict.fromkeys(counts, nodes)}
    return stored(manifest(images), **metadata) | {"kind": "DaemonSet", "status": status}


def pod(found: dict, node: str, state: dict) -> dict:
    spec = found["spec"]["template"]["spec"]
    statuses = [{"name": item["name"], "state": state} for item in spec["containers"]]
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"cache-{node}",
            "namespace": "images",
            "ownerReferences": [{"kind": "DaemonSet", "uid": found["metadata"]["uid"]}],
        },
        "spec": {**spec, "nodeName": node},
        "status": {"containerStatuses": statuses},
    }


def filled(images: str = ONE, **states: dict) -> list[dict]:
    found = cache(len(states), images)
    return [found, *(pod(found, node, state) for node, state in states.items())]


def configmap(**data: str) -> dict:
    return {"kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "images"}, "data": data}


# What it says, and how it ends.


def test_a_complete_cache_is_exit_code_0(kip, cluster):
    cluster(*filled(node1=RUNNING, node2=RUNNING))
    assert kip("wait", **VALUES)[:2] == (
        0,
        f"Reached after 0 s: 2 of 2 images on 2 nodes (DaemonSet images/{NAME}).\n",
    )


def test_what_is_missing_is_told_with_the_next_command(kip, cluster):
    cluster(*filled(node1=RUNNING, node2=FAILING))
    code, out, err = kip("wait", "--timeout", "0", **VALUES)
    assert (code, out.splitlines()) == (
        3,
        [
            f"Not reached after 0 s: 1 of 2 images are there; 1 failed (DaemonSet images/{NAME}).",
            "tools on node2: ErrImagePull: registry.example/tools:1.4.2: not found",
            "  Correct the reference in IMAGES, or push the image.",
            "Next: kubectl -n images describe pods --field-selector spec.nodeName=node2",
        ],
    )
    assert err == "1 of 2 images are there; 1 failed\n"


def test_a_certain_failure_ends_it_long_before_the_timeout(kip, cluster):
    cluster(*filled(node1=FAILING))
    code, out, _ = kip("wait", "--fail-fast", **VALUES)
    assert (code, out.startswith("Failed after 0 s: ")) == (3, True)


def test_progress_does_not_spoil_the_document(kip, cluster):
    cluster(*filled(node1=PULLING))
    code, out, _ = kip("wait", "--timeout", "0", "-o", "json", **VALUES)
    document = json.loads(out)
    assert (code, document["complete"], document["wait"]["result"]) == (3, False, "timeout")
    assert [found["state"] for found in document["cells"]] == ["pulling"]


def test_without_a_cache_there_is_a_document_too(kip, cluster):
    cluster()
    code, out, _ = kip("wait", "--timeout", "0", "-o", "json", **VALUES)
    document = json.loads(out)
    assert (code, document["cells"], document["wait"]["why"]) == (3, [], "there is no cache yet")


def test_an_image_that_is_not_listed_names_the_list(kip, cluster):
    cluster(*filled(node1=RUNNING))
    code, _, err = kip("wait", "--image", "other:1", **VALUES)
    assert (code, ONE in err) == (1, True)


def test_a_missing_right_is_exit_code_4(kip, cluster):
    cluster(*filled(node1=RUNNING)).failures["list pods"] = [Forbidden("no")]
    assert kip("wait", **VALUES)[0] == 4


def test_nodes_by_label_need_the_right_to_list_nodes(kip, cluster):
    cluster(*filled(node1=RUNNING)).failures["list nodes"] = [Forbidden("no")]
    code, _, err = kip("wait", "--nodes", "pool=a", **VALUES)
    assert (code, "--nodes needs the right to list nodes" in err) == (4, True)


def node(name: str, *taints: dict, system: str = "linux") -> dict:
    metadata = {"name": name, "namespace": "", "labels": {"kubernetes.io/os": system}}
    return {"kind": "Node", "metadata": metadata, "spec": {"taints": list(taints)}}


GPU = {"key": "pool", "value": "gpu", "effect": "NoSchedule"}
LACKING = '{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}'


def test_a_pool_is_not_filled_while_a_taint_leaves_one_of_its_nodes_out(kip, cluster):
    cluster(*filled(node1=RUNNING), node("node1"), node("gpu1", GPU))
    code, out, _ = kip("wait", "--nodes", "pool=gpu", "--fail-fast", **VALUES)
    taint, why = "pool=gpu:NoSchedule", "1 of 2 images are there; 1 absent; a retry does not cure tools"
    assert (code, out.splitlines()) == (
        3,
        [
            f"Failed after 0 s: {why} (DaemonSet images/{NAME}).",
            f"tools on gpu1: UntoleratedTaint: {taint}; to cache there too, add {LACKING} to TOLERATIONS",
            "  Or leave the node out: by NODE_SELECTOR or AFFINITY, or by what was asked for.",
            "Next: kip check -n images",
        ],
    )


def test_a_node_that_is_ill_is_missing_and_may_get_well(kip, cluster):
    ill = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    cluster(*filled(node1=RUNNING), node("node1"), node("node2", ill))
    code, out, _ = kip("wait", "--nodes", "pool=a", "--fail-fast", "--timeout", "0", **VALUES)
    assert (code, out.startswith("Not reached"), "tools on node2: NodeNotReady: " in out) == (3, True, True)
    assert out.splitlines()[-1] == "Next: kubectl describe node node2"


def test_a_tainted_node_whose_pod_stayed_counts_by_what_its_pod_holds(kip, cluster):
    cluster(*filled(node1=RUNNING), node("node1", GPU))
    assert kip("wait", "--nodes", "pool=gpu", **VALUES)[0] == 0


def test_chosen_nodes_that_the_cache_does_not_select_are_named_and_not_waited_for(kip, cluster):
    cluster(*filled(node1=RUNNING), node("node1"), node("windows1", system="windows"))
    code, out, _ = kip("wait", "--nodes", "pool=a", **VALUES)
    said = "Not waited for: windows1; NODE_SELECTOR or AFFINITY of the cache does not select them."
    assert (code, out.splitlines()[1:]) == (0, [said])
    _, out, _ = kip("wait", "--nodes", "pool=a", "-o", "json", **VALUES)
    assert json.loads(out)["wait"]["unselected"] == ["windows1"]


@pytest.mark.parametrize("text", ["", "soon", "-1", "1d"])
def test_a_timeout_that_is_no_duration_is_refused(kip, cluster, text):
    cluster()
    assert kip("wait", "--timeout", text, **VALUES)[0] == 2


@pytest.mark.parametrize("text", ["nan", "0", "101", "x"])
def test_a_share_that_is_none_is_refused(kip, text):
    assert kip("wait", "--min-percent", text, **VALUES)[0] == 2


# What it reads.


def looker(found: FakeCluster, **environment: str) -> CacheReader:
    return CacheReader(found, "images", NAME, environment)


def test_an_edit_of_the_configmap_is_waited_for():
    found = FakeCluster(*filled(node1=RUNNING), configmap(IMAGES="new=registry.example/new:1.0.0"))
    assert looker(found, CONFIGMAP_NAME="settings", NAMESPACE="images").look().pending == "IMAGES"


def test_an_edit_that_cannot_be_used_is_told():
    found = FakeCluster(*filled(node1=RUNNING), configmap(IMAGES=ONE, MAX_SURGE="many"))
    assert "MAX_SURGE" in looker(found, CONFIGMAP_NAME="settings", NAMESPACE="images").look().refused


def test_a_configmap_that_may_not_be_read_says_nothing():
    found = FakeCluster(*filled(node1=RUNNING), configmap(IMAGES="new=registry.example/new:1.0.0"))
    found.failures["get configmaps"] = [Forbidden("no")]
    seen = looker(found, CONFIGMAP_NAME="settings", NAMESPACE="images").look()
    assert (seen.pending, seen.listed) == ("", None)


def test_on_a_laptop_the_deployment_names_the_configmap():
    keeper = deployment()
    variables = [{"name": "CONFIGMAP_NAME", "value": "settings"}, {"name": "NAMESPACE", "value": "images"}]
    keeper["spec"]["template"] = {"spec": {"containers": [{"env": variables}]}}
    found = FakeCluster(*filled(node1=RUNNING), keeper, configmap(IMAGES="new=registry.example/new:1.0.0"))
    assert looker(found).look().pending == "IMAGES"


def test_the_settings_of_another_cache_say_nothing():
    values = {"IMAGES": "new=registry.example/new:1.0.0", "DAEMONSET_NAME": "another"}
    found = FakeCluster(*filled(node1=RUNNING), configmap(**values))
    assert looker(found, CONFIGMAP_NAME="settings", NAMESPACE="images").look().pending == ""


def test_a_cache_that_is_being_deleted_is_none():
    found = FakeCluster(cache(1, deletionTimestamp="2026-11-21T08:00:00Z"))
    assert looker(found).look().matrix is None


# Its patience.


def seen(state: ImageState, *, nodes: int = 1) -> Observation:
    names = tuple(f"n{number}" for number in range(nodes))
    cells = tuple(Cell(node, "tools", "tools:1", state) for node in names)
    return Observation(Matrix("images", NAME, 1, Progress(nodes, nodes, nodes, current=True), names, cells))


def listed(look: Observation) -> Observation:
    found = looker(FakeCluster(*filled("tools=tools:1", node1=RUNNING))).look()
    return Observation(look.matrix, held=found.held)


class Patience:
    """A wait whose pauses only move the clock; `looks` are what it sees, the last again and again."""

    def __init__(self, *looks: Observation | Exception, cost: float = 0.0) -> None:
        self.looks, self.cost, self.count = list(looks), cost, 0
        self.clock = Clock()
        self.pauses: list[tuple[float, float]] = []
        self.told: list[str] = []

    def wait(self, timeout: float, **goal) -> WaitResult:
        return WaitLoop(
            Goal(**goal), self.look, self.pause, self.clock, Random(1), lambda it: self.told.append(it.why)
        ).wait(timeout)

    def look(self) -> Observation:
        found = self.looks[min(self.count, len(self.looks) - 1)]
        self.count += 1
        self.clock.seconds += self.cost
        if isinstance(found, Exception):
            raise found
        return listed(found)

    def pause(self, least: float, most: float) -> None:
        self.pauses.append((least, most))
        self.clock.seconds += most


def test_it_ends_as_soon_as_it_is_reached():
    found = Patience(seen(ImageState.PULLING), seen(ImageState.PULLING), seen(ImageState.CACHED))
    end = found.wait(600)
    assert (end.verdict.result, end.seconds) == (Result.REACHED, 4.0)


def test_there_is_a_last_look_when_the_time_is_up():
    found = Patience(seen(ImageState.PULLING), seen(ImageState.CACHED))
    assert (found.wait(1).verdict.result, found.pauses) == (Result.REACHED, [(0.5, 1.0)])


def test_it_ends_when_the_time_is_up():
    end = Patience(seen(ImageState.PULLING)).wait(60)
    assert (end.verdict.result, end.seconds) == (Result.OPEN, 60.0)


def test_dear_looks_are_far_apart():
    found = Patience(seen(ImageState.PULLING), cost=1.0)
    found.wait(100)
    assert {least for least, _ in found.pauses[:-1]} == {20.0}
    found = Patience(seen(ImageState.PULLING), cost=60.0)
    found.wait(600)
    assert found.pauses[0] == (list_pacing.LONGEST_SECONDS, list_pacing.LONGEST_SECONDS)


def test_looks_at_a_cache_where_nothing_happens_become_rare():
    found = Patience(seen(ImageState.PULLING))
    found.wait(3600)
    assert (found.pauses[0][1], max(most for _, most in found.pauses)) == (2.0, LONGEST_SECONDS)


def test_trouble_of_the_api_server_is_waited_out():
    found = Patience(
        seen(ImageState.PULLING), Unreachable("gone"), Unreachable("gone"), seen(ImageState.CACHED)
    )
    end = found.wait(600)
    assert (end.verdict.result, found.told.count("the API server: gone")) == (Result.REACHED, 2)


def test_an_error_that_another_look_does_not_mend_ends_it():
    with pytest.raises(Forbidden):
        Patience(Forbidden("no")).wait(600)


def test_a_cache_that_comes_later_is_waited_for():
    assert Patience(Observation(None), seen(ImageState.CACHED)).wait(600).verdict.result is Result.REACHED
