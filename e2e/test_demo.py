"""The demo: kip in the cluster as a Deployment, with least rights, under Pod Security `restricted`."""

import json
from pathlib import Path

import pytest
from realcluster import command, eventually, get, hack, kubectl

pytestmark = pytest.mark.alone
NAMESPACE = "k8s-image-puller"


@pytest.fixture(scope="module")
def demo():
    """The demo, up and complete; its images, name to reference."""
    command(".venv/bin/python", "hack/demo", "up")
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {image["name"]: image["reference"] for image in found}


@pytest.fixture
def new_node(demo):
    """A node that joins after the cache is complete, removed after the test."""
    name = "latecomer"
    hack("cluster", "node", "add", name)
    yield name
    hack("cluster", "node", "remove", name)


def running_on(node: str) -> dict[str, str]:
    """Return container name to image of the cache containers, as the node's own runtime lists them."""
    found = json.loads(hack("cluster", "node", "containers", node, "-o", "json"))
    # The keeper's pod and the cache pods have names that begin alike; a container's name tells them apart.
    return {
        item["container"]: item["image"]
        for item in found
        if item["namespace"] == NAMESPACE and item["container"] != "kubernetes-image-puller"
    }


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_every_image_runs_on_the_node_says_its_runtime(demo, node):
    assert running_on(node) == demo


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_the_runtime_has_every_image(demo, node):
    there = {image["name"] for image in json.loads(hack("cluster", "image", "ls", node, "-o", "json"))}
    assert set(demo.values()) <= there


def test_a_node_that_joins_later_gets_all_images_by_itself(demo, new_node):
    assert eventually(lambda: running_on(new_node) == demo, "all images on the new node", seconds=120)


def test_the_namespace_enforces_pod_security_restricted(demo):
    labels = get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_keeper_has_restarted_never(demo):
    (pod,) = get("pods", namespace=NAMESPACE, labels="app=kubernetes-image-puller")
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]


def test_the_keeper_was_refused_nothing(demo):
    account = f"system:serviceaccount:{NAMESPACE}:k8s-image-puller"
    status = json.loads(hack("cluster", "status", "-o", "json"))
    refused = []
    with Path(status["logs"], "audit.jsonl").open(encoding="utf-8") as log:
        for line in log:
            if account in line:
                event = json.loads(line)
                if event["user"]["username"] == account and event["responseStatus"].get("code") == 403:
                    refused.append(event["requestURI"])
    assert refused == []


def test_status_in_the_pod_says_the_same_as_outside(demo):
    inside = kubectl(
        "-n", NAMESPACE, "exec", "deployment/kubernetes-image-puller", "--", "kip", "status", "-o", "json"
    )
    outside = command(".venv/bin/kip", "status", "-n", NAMESPACE, "-o", "json")
    assert json.loads(inside)["images"] == json.loads(outside)["images"]


def test_the_pods_hold_no_token_of_the_service_account(demo):
    pods = get("pods", namespace=NAMESPACE, labels="app.kubernetes.io/name=image-puller")
    volumes = {volume["name"] for pod in pods for volume in pod["spec"]["volumes"]}
    assert volumes == {"kip"}
