"""The local cluster itself: what it promises to the demo, to the other tests and to people."""

import json
import os
import signal
import time

import pytest
from realcluster import apply, container, eventually, get, hack, kubectl, pod

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        os.environ.get("KIP_E2E_CLUSTER") == "kind", reason="these are promises of hack/cluster, not of kind"
    ),
]


def ready(kind: str, name: str, namespace: str = "") -> bool:
    found = get(kind, name, namespace=namespace)
    conditions = found["status"].get("conditions", []) if found else []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def status():
    return json.loads(hack("cluster", "status", "-o", "json"))


def asked_for(repository: str):
    """Return what the registry was asked for of a repository."""
    log = json.loads(hack("cluster", "registry", "log", "-o", "json"))
    return [request for request in log if request["name"] == repository]


@pytest.fixture
def mortal():
    """A node of the test's own."""
    hack("cluster", "node", "add", "mortal")
    yield "mortal"
    hack("cluster", "node", "remove", "mortal")
    assert get("node", "mortal") is None


@pytest.fixture
def fakes():
    """Three fake nodes."""
    before = status()["fake_nodes"]
    hack("cluster", "up", "--fake-nodes", "3")
    yield ["fake-1", "fake-2", "fake-3"]
    hack("cluster", "up", "--fake-nodes", str(before))


@pytest.fixture
def outage():
    """The registry is away until the test starts it, or ends."""
    hack("cluster", "registry", "stop")
    yield
    hack("cluster", "registry", "start")


def test_up_of_what_is_up_returns_at_once():
    before = status()["processes"]
    started = time.monotonic()
    hack("cluster", "up")
    assert time.monotonic() - started < 20  # 0.4 s on a machine that does nothing else
    assert status()["processes"] == before


def test_up_restarts_what_died():
    before = status()["processes"]
    os.kill(before["kube-scheduler"], signal.SIGKILL)
    eventually(lambda: not status()["processes"]["kube-scheduler"], "the scheduler's end", seconds=5)
    hack("cluster", "up")
    after = status()["processes"]
    assert after.pop("kube-scheduler") not in {0, before.pop("kube-scheduler")}
    assert after == before


def test_logs_and_exec(namespace):
    pod(namespace, "speaks", "node1", container("kip:dev", "--version"), restart="Never")
    pod(namespace, "sleeps", "node1", container("kip-sleep:dev", "1h"))
    eventually(lambda: "kip" in kubectl("-n", namespace, "logs", "speaks", check=False), "kip's version")
    eventually(lambda: ready("pod", "sleeps", namespace), "a pod that runs")
    assert kubectl("-n", namespace, "exec", "sleeps", "--", "/bin/sleep", "0") == ""


def test_pod_reaches_the_api_server_with_its_own_account(namespace):
    main = {**container("kip:dev", "status"), "env": [{"name": "NAMESPACE", "value": namespace}]}
    pod(namespace, "asks", "node1", main, restart="Never")
    # It has no Role, and is told so by name: only the API server can know that from its token.
    account = f'User "system:serviceaccount:{namespace}:default" cannot get resource "daemonsets"'
    eventually(lambda: account in kubectl("-n", namespace, "logs", "asks", check=False), "an answer")


def test_node_dies_and_comes_back(namespace, mortal):
    pod(namespace, "box", mortal, container("kip-sleep:dev", "1h"))
    eventually(lambda: ready("pod", "box", namespace), "a pod that runs")

    hack("cluster", "node", "stop", mortal)
    assert {node["name"]: node["alive"] for node in status()["nodes"]}[mortal] is False
    eventually(lambda: not ready("node", mortal), "a node that is NotReady", seconds=35)

    hack("cluster", "node", "start", mortal)
    assert ready("node", mortal)

    def restarted():
        states = get("pod", "box", namespace=namespace)["status"]["containerStatuses"]
        return states[0]["restartCount"] == 1 and states[0]["ready"]

    eventually(restarted, "the pod's container again")
    rows = json.loads(hack("cluster", "node", "containers", mortal, "-o", "json"))
    assert {"pod": "box", "namespace": namespace}.items() <= rows[0].items()


def test_registry_outage_and_log(namespace, outage):
    pod(namespace, "box", "node1", container("kip-sleep:dev", "1h", policy="Always"))

    def waiting():
        states = get("pod", "box", namespace=namespace)["status"].get("containerStatuses", [])
        return states and states[0]["state"].get("waiting", {}).get("reason") in {
            "ErrImagePull",
            "ImagePullBackOff",
        }

    eventually(waiting, "a pull that fails", seconds=30)
    before = len(asked_for("kip-sleep"))
    hack("cluster", "registry", "start")
    eventually(lambda: ready("pod", "box", namespace), "a pull of the same reference", seconds=60)
    new = asked_for("kip-sleep")[before:]
    assert {"kind": "manifest", "reference": "dev", "status": 200}.items() <= new[0].items()
    assert new[0]["client"] == "node1"


def test_the_private_door_of_the_registry_asks_for_a_password(namespace):
    private = os.environ["PRIVATE_REGISTRY"]
    stranger = {**container("kip-sleep:dev", "1h", policy="Always"), "image": f"{private}/kip-sleep:dev"}
    pod(namespace, "stranger", "node1", stranger)

    def refused():
        states = get("pod", "stranger", namespace=namespace)["status"].get("containerStatuses", [])
        return states and "authorization failed" in states[0]["state"].get("waiting", {}).get("message", "")

    eventually(refused, "a pull that is refused", seconds=30)
    login = ("--docker-server", private, "--docker-username", "reader", "--docker-password", "open-sesame")
    kubectl("-n", namespace, "create", "secret", "docker-registry", "door", *login)
    kubectl(
        "-n", namespace, "patch", "serviceaccount", "default", "-p", '{"imagePullSecrets":[{"name":"door"}]}'
    )
    pod(namespace, "friend", "node1", stranger)
    eventually(lambda: ready("pod", "friend", namespace), "a pull with the password", seconds=30)


def test_fake_nodes_take_the_pods_of_a_daemonset(namespace, fakes):
    labels = {"app": "everywhere"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container("kip-sleep:dev", "1h")]}}
    apply(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "everywhere", "namespace": namespace},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
    )

    def nodes():
        pods = get("pods", namespace=namespace)
        return {
            pod["spec"].get("nodeName") for pod in pods if ready("pod", pod["metadata"]["name"], namespace)
        }

    eventually(lambda: set(fakes) <= nodes(), "ready pods on fake nodes", seconds=30)


def test_small_disk_is_all_that_a_node_knows():
    hack("cluster", "node", "add", "--disk", "200M", "small")
    try:

        def summary():
            answer = kubectl("get", "--raw", "/api/v1/nodes/small/proxy/stats/summary", check=False)
            return answer and json.loads(answer)["node"].get("runtime", {}).get("imageFs", {})

        found = eventually(lambda: (summary() or {}).get("capacityBytes"), "the disk's size", seconds=30)
        assert 150 * 2**20 < found < 200 * 2**20
    finally:
        hack("cluster", "node", "remove", "small")
