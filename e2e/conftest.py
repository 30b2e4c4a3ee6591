"""The cluster for all e2e tests, a namespace for each, and what is kept when one fails."""

import os
import re
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
from realcluster import KIP_RULES, TOP, UPSTREAM_RULES, Keeper, command, hack, kubeconfig_for, kubectl

LOGS = TOP / "e2e/logs"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Let fixtures know whether their test failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = True


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """The local cluster of this checkout, brought up if it is not, with kip's images in its registry."""
    if os.environ.get("KIP_E2E_CLUSTER") == "kind":
        return  # run-e2e.sh made it, and exported how it is reached
    hack("cluster", "up")
    exports = hack("cluster", "env")
    for key in ("KUBECONFIG", "REGISTRY", "PATH"):
        shown = subprocess.run(
            ["bash", "-c", f'eval "$1"; printf %s "${key}"', "bash", exports],
            capture_output=True,
            text=True,
            check=True,
        )
        os.environ[key] = shown.stdout
    hack("image", "push")


@pytest.fixture
def namespace(request) -> Iterator[str]:
    """A namespace of its own that enforces Pod Security `restricted`, gone after the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).removeprefix("test-")
    # A namespace takes a while to go, so that a second run needs another name.
    name = f"{words[:40].strip('-')}-{uuid4().hex[:4]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    if getattr(request.node, "failed", False):
        keep_logs(name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(params=["patch", "no patch"])
def rules(request):
    """The rights of a keeper: kip's own Role, and upstream's."""
    return {"patch": KIP_RULES, "no patch": UPSTREAM_RULES}[request.param]


@pytest.fixture
def deployment(namespace) -> str:
    """A Deployment for the cache to belong to; its pod never runs, as the keepers here are processes."""
    name = "kubernetes-image-puller"
    kubectl("-n", namespace, "create", "deployment", name, "--image=none.invalid/none", "--replicas=1")
    return name


@pytest.fixture
def keeper(namespace, tmp_path):
    """Make keepers: `keeper(rules, IMAGES=...)`; started by `with`, killed at its end."""

    def make(rules, **values: str) -> Keeper:
        folder = LOGS / namespace
        folder.mkdir(parents=True, exist_ok=True)
        kubeconfig = kubeconfig_for(namespace, rules, tmp_path)
        values = {"KIP_IMAGE": f"{os.environ['REGISTRY']}/kip-sleep:dev", **values}
        logfile = folder / f"keeper-{len(list(folder.glob('keeper-*'))) + 1}.log"
        return Keeper(namespace, kubeconfig, logfile, values)

    return make


def keep_logs(namespace: str) -> None:
    """Write down what the API server knows about the namespace, and say where."""
    folder = LOGS / namespace
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in {
        "objects.yaml": ("get", "daemonsets,deployments,pods,configmaps", "-o", "yaml"),
        "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
        "pods.txt": ("describe", "pods"),
    }.items():
        (folder / name).write_text(kubectl("-n", namespace, *arguments, check=False), "utf-8")
    (folder / "nodes.txt").write_text(command("kubectl", "describe", "nodes", check=False), "utf-8")
    print(f"\nlogs of the failed test: {folder.relative_to(TOP)}")
