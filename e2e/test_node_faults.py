"""A node in trouble hinders neither the others nor the keeper; it is told, and catches up when it is well."""

import json
import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from localcluster.layout import Layout
from realcluster import (
    BLIND_RULES,
    CONFIGMAP,
    KIP,
    KIP_RULES,
    LOGS,
    Keeper,
    command,
    container,
    eventually,
    get,
    hack,
    keep_logs,
    kubeconfig_for,
    kubectl,
    kubelet_of,
    new_namespace,
    nodes,
    pod,
    registry,
    running_containers,
    write_list,
)
from surfaces import Surfaces, sees, sees_the_cure

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.environ.get("KIP_E2E_CLUSTER") == "kind", reason="kind has no nodes that die"),
]
NODE = "frail"
CACHE = "kubernetes-image-puller"
RESERVED_FOR = "node-faults"
MOST_PODS = 3
CLOSED = "kip.dev/closed"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]
MEBIBYTE = 2**20
MOST_REFUSED = 10
"""More pods than this are a flood: https://github.com/kubernetes/kubernetes/issues/124388."""


@pytest.fixture(scope="module")
def frail():
    """A node of these tests' own, with little room and a small disk."""
    there = json.loads(hack("cluster", "status", "-o", "json"))["nodes"]
    if any(node["name"] == NODE for node in there):  # a killed run left it
        hack("cluster", "node", "remove", NODE)
    hack("demo-images")
    options = ("--disk", "200M", "--max-pods", str(MOST_PODS), "--reserve", RESERVED_FOR)
    hack("cluster", "node", "add", *options, NODE)
    yield NODE
    hack("cluster", "node", "remove", NODE)


@pytest.fixture(scope="module", params=["patch", "no patch"])
def kept(request, frail, tmp_path_factory):
    """One cache, and one keeper, for all tests with the same rights."""
    rules = {"patch": KIP_RULES, "no patch": BLIND_RULES}[request.param]
    namespace = new_namespace(f"node-faults-{uuid4().hex[:4]}")
    (LOGS / namespace).mkdir(parents=True)
    values = {
        "KIP_IMAGE": f"{registry()}/kip-sleep:dev",
        "CONFIGMAP_NAME": CONFIGMAP,
        "TOLERATIONS": f"[{{key: kip.dev/test, value: {RESERVED_FOR}}}]",
        "HTTP_ADDRESS": f"127.0.0.1:{PORT}",
    }
    kubeconfig = kubeconfig_for(namespace, rules, tmp_path_factory.mktemp("keeper"))
    keeper = Keeper(namespace, kubeconfig, LOGS / namespace / "keeper.log", values)
    found = Cache(namespace, keeper, blind=rules == BLIND_RULES)
    found.edit("scratch")
    with found.keeper:
        yield found
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def cache(kept, frail, request):
    """The cache with the image `scratch` on all nodes; the keeper must go on through each test."""
    kept.edit("scratch")
    kept.reaches([*nodes(), frail], "scratch", seconds=180)
    yield kept
    if getattr(request.node, "failed", False):
        keep_logs(kept.namespace)
    assert kept.keeper.process.poll() is None
    assert not kept.keeper.events("reconcile_failed")


class Cache:
    """A cache, its keeper, and what is told of it."""

    def __init__(self, namespace: str, keeper: Keeper, *, blind: bool) -> None:
        self.namespace = namespace
        self.keeper = keeper
        self.blind = blind

    def shown(self, name: str) -> Surfaces:
        """Return where one reads of this image."""
        return Surfaces(self.namespace, PORT, name, self.blind)

    def edit(self, *names: str) -> None:
        """Write another image list."""
        write_list(self.namespace, {name: f"{registry()}/demo/{name}:1" for name in names})

    def on(self, node: str) -> set[str]:
        """Return the names of the images that run on the node."""
        return {name for where, name in running_containers(self.namespace) if where == node}

    def reaches(self, some: list[str], *names: str, seconds: float = 60) -> None:
        """Wait until exactly these images run on each of these nodes."""
        wanted = {(node, name) for node in some for name in names}

        def everywhere() -> bool:
            return {pair for pair in running_containers(self.namespace) if pair[0] in some} == wanted

        eventually(everywhere, f"{', '.join(names)} on {', '.join(some)}", seconds=seconds, pause=0.5)

    def tells(self, node: str, name: str, words: str, *, seconds: float = 60) -> None:
        """Wait until `kip status` gives a reason with these words for the image on the node."""

        def told() -> bool:
            text = command(str(KIP), "status", "-n", self.namespace, "-o", "json", check=False)
            return any(
                words in f"{cell['reason']}: {cell['message']}"
                for cell in json.loads(text)["cells"]
                if (cell["node"], cell["name"]) == (node, name)
            )

        eventually(told, f"{words!r} for {name} on {node} by kip status", seconds=seconds, pause=1)


def sleeper(namespace: str, name: str, **requests: str) -> None:
    """Put a pod on the frail node that sleeps and asks for these resources."""
    main = {**container("kip-sleep:dev", "1h"), "resources": {"requests": requests}}
    pod(namespace, name, NODE, main, tolerations=[{"operator": "Exists"}])

    def runs() -> bool:
        return get("pod", name, namespace=namespace)["status"]["phase"] == "Running"

    eventually(runs, f"pod {name} on {NODE}")


def end(namespace: str, *names: str) -> None:
    kubectl("-n", namespace, "delete", "pod", "--ignore-not-found", *names)


def pods_on_frail() -> list[dict]:
    selector = f"--field-selector=spec.nodeName={NODE}"
    return json.loads(kubectl("get", "pods", "-A", "-o", "json", selector))["items"]


def free_memory() -> int:
    """Return how many MiB the pods on the frail node have not asked for."""
    wanted = [
        item.get("resources", {}).get("requests", {}).get("memory", "0Mi")
        for found in pods_on_frail()
        for item in found["spec"]["containers"]
    ]
    allocatable = get("node", NODE)["status"]["allocatable"]["memory"]
    return int(allocatable.removesuffix("Ki")) // 1024 - sum(int(text.removesuffix("Mi")) for text in wanted)


@contextmanager
def dead():
    """The frail node is off: kubelet, runtime and containers ended at once."""
    hack("cluster", "node", "stop", NODE)
    try:
        yield
    finally:
        hack("cluster", "node", "start", NODE)
        eventually(lambda: condition("Ready") == "True", "a ready node")
        # A DaemonSet that was made while the node was away is mostly not looked at by Kubernetes' controller
        # when the node is back (1.36: it counts one node less for minutes); any change of it wakes it.
        kubectl("annotate", "daemonset", "--all", "-A", f"example.com/woken={uuid4().hex[:8]}", "--overwrite")
        # The API server shows the pods as they were before for a while: the runtime itself is asked.
        eventually(
            lambda: CACHE in hack("cluster", "node", "containers", NODE), "pods on the node", seconds=90
        )


@contextmanager
def deaf():
    """The kubelet of the frail node hangs; the containers run on."""
    kubelet = kubelet_of(NODE)
    os.kill(kubelet, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kubelet, signal.SIGCONT)


@contextmanager
def full_disk():
    """The disk of the frail node is full."""
    filler = Path(Layout().state_folder, "nodes", NODE, "disk/filler")
    free = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - MEBIBYTE)
    try:
        yield
    finally:
        filler.unlink()


def condition(kind: str) -> str:
    conditions = get("node", NODE)["status"]["conditions"]
    return next(found["status"] for found in conditions if found["type"] == kind)


def test_a_cordoned_node_is_kept_as_any_other(cache, frail):
    kubectl("cordon", frail)
    try:
        cache.edit("stop-signal")
        cache.reaches([*nodes(), frail], "stop-signal")
    finally:
        kubectl("uncordon", frail)


def test_a_node_without_memory_hinders_no_other(cache, frail):
    # Two images ask for 20 MiB: neither beside the old pod nor in its place is there room.
    sleeper(cache.namespace, "hog", memory=f"{free_memory() - 5}Mi")
    try:
        cache.edit("stop-signal", "scratch")
        cache.reaches(nodes(), "stop-signal", "scratch")
        cache.tells(frail, "stop-signal", "Insufficient memory")
        assert cache.on(frail) == {"scratch"}
    finally:
        end(cache.namespace, "hog")
    cache.reaches([frail], "stop-signal", "scratch")


@pytest.fixture
def crowd(cache, frail):
    """Pods of others, as many as there is room for on the frail node; so the cache has no pod there."""
    kubectl("taint", "node", frail, f"{CLOSED}:NoExecute")
    eventually(lambda: not pods_on_frail(), "an empty node")
    names = [f"passenger{number}" for number in range(MOST_PODS)]
    for name in names:
        sleeper(cache.namespace, name)
    kubectl("taint", "node", frail, f"{CLOSED}-")
    yield names
    end(cache.namespace, *names)


def test_a_node_full_of_pods_hinders_no_other(cache, crowd, frail):
    cache.tells(frail, "scratch", "Too many pods")
    cache.edit("stop-signal")
    cache.reaches(nodes(), "stop-signal")
    shown = cache.shown("stop-signal")
    sees(shown, "Too many pods", "Make room", state="absent", reason="NodeNotServed", on=[frail])
    code, out = shown.wait("--timeout", "2s")
    assert (code, "Too many pods" in out) == (3, True)

    end(cache.namespace, crowd[0])
    cache.reaches([frail], "stop-signal")
    sees_the_cure(shown, "Too many pods", reason="NodeServed", on=[*nodes(), frail])
    assert shown.wait("--timeout", "60s")[0] == 0


@pytest.mark.parametrize("kept", ["patch"], indirect=True)  # without, it waits for room: docs/promises.md
def test_a_node_with_room_for_one_cache_pod_gets_the_edit_too(cache, frail):
    # One cache container asks for 10 MiB, so there is no room for the pod before and the pod after.
    sleeper(cache.namespace, "hog", memory=f"{free_memory() - 5}Mi")
    try:
        cache.edit("stop-signal")
        cache.reaches([*nodes(), frail], "stop-signal")
    finally:
        end(cache.namespace, "hog")


def test_a_node_that_died_hinders_no_other(cache, frail):
    with dead():
        cache.edit("stop-signal")  # while Kubernetes has not noticed
        cache.reaches(nodes(), "stop-signal")
        cache.tells(frail, "stop-signal", "NodeNotReady")
        assert condition("Ready") == "Unknown"
        sees(
            cache.shown("stop-signal"),
            "NodeNotReady",
            "kubectl describe node",
            state="waiting",
            reason="NodeNotServed",
            on=[frail],
        )
        cache.edit("volume")
        cache.reaches(nodes(), "volume")
        cache.tells(frail, "volume", "NodeNotReady")
        code, out = cache.shown("volume").wait("--timeout", "2s")
        assert (code, "NodeNotReady" in out) == (3, True)
    cache.reaches([frail], "volume")
    sees_the_cure(cache.shown("volume"), "NodeNotReady", reason="NodeServed", on=[*nodes(), frail])


@pytest.mark.parametrize("kept", ["patch"], indirect=True)  # without, kip can but say what to do
def test_a_deletion_that_waits_for_a_node_that_died_is_not_waited_for(cache, frail):
    with dead():
        before = get("daemonset", CACHE, namespace=cache.namespace)["metadata"]["uid"]
        kubectl("-n", cache.namespace, "delete", "daemonset", CACHE, "--cascade=foreground", "--wait=false")
        eventually(lambda: uid_of(cache.namespace) not in {"", before}, "a new cache", seconds=90)
        cache.reaches(nodes(), "scratch")


def uid_of(namespace: str) -> str:
    """Return the uid of the cache, empty while there is none."""
    found = [item["metadata"] for item in get("daemonsets", namespace=namespace)]
    return next((item["uid"] for item in found if item["name"] == CACHE), "")


def test_a_node_whose_kubelet_hangs_hinders_no_other(cache, frail):
    with deaf():
        cache.tells(frail, "scratch", "NodeNotReady")
        cache.edit("stop-signal")
        cache.reaches(nodes(), "stop-signal")
        cache.tells(frail, "stop-signal", "NodeNotReady")
    cache.reaches([frail], "stop-signal")


def test_a_node_with_a_full_disk_hinders_no_other(cache, frail):
    with full_disk():
        eventually(lambda: condition("DiskPressure") == "True", "DiskPressure", seconds=30)
        cache.edit("stop-signal")
        cache.reaches(nodes(), "stop-signal")
        cache.tells(frail, "stop-signal", "DiskPressure")
        if not cache.blind:  # which cannot see that a DaemonSet that surges makes new ones without a pause
            eventually(lambda: len(pods_on_frail()) < MOST_REFUSED, "an end of the flood", seconds=30)
    cache.reaches([frail], "stop-signal")
