"""The cluster for all e2e tests, and a namespace for each."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
from imagegc import ImageGc, full_disk
from localcluster.layout import RESERVED
from realcluster import (
    KIP_RULES,
    UPSTREAM_RULES,
    Keeper,
    apply,
    kubectl,
    make_deployment,
    make_keeper,
    namespace_for,
    use_cluster,
)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Let fixtures know whether their test failed, or one of their module."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = item.parent.failed = True


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """The local cluster of this checkout, brought up if it is not, with kip's images in its registry."""
    if os.environ.get("KIP_E2E_CLUSTER") == "kind":
        return  # run-e2e.sh made it, and exported how it is reached
    use_cluster()


def pytest_collection_modifyitems(items):
    """Put last what waits for something that goes on beside the other tests."""
    items.sort(key=_goes_on_beside)


def _goes_on_beside(item) -> bool:
    return "image_gc" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def image_gc(cluster) -> Iterator[ImageGc]:
    """A node with a full disk, minutes before its kubelet collects images."""
    with full_disk() as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def beside(request, cluster):
    """Begin before the first test what takes minutes; the tests that look at it come last."""
    if os.environ.get("KIP_E2E_CLUSTER") != "kind" and any(map(_goes_on_beside, request.session.items)):
        # Those tests tell if it fails; the others go on.
        with suppress(AssertionError, OSError):
            request.getfixturevalue("image_gc")


@pytest.fixture
def namespace(request) -> Iterator[str]:
    """A namespace of its own that enforces Pod Security `restricted`, gone after the test."""
    with namespace_for(request.node) as name:
        yield name


@pytest.fixture(params=["patch", "no patch"])
def rules(request):
    """The rights of a keeper: kip's own Role, and upstream's."""
    return {"patch": KIP_RULES, "no patch": UPSTREAM_RULES}[request.param]


@pytest.fixture
def tainted() -> Iterator[str]:
    """A node that no kubelet stands behind, with a taint and a label that nobody else uses."""
    word = f"tainted-{uuid4().hex[:6]}"
    taint = {"key": word, "value": "yes", "effect": "NoSchedule"}
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": word, word: "yes", RESERVED: word}
    metadata = {"name": word, "labels": labels}
    apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}})
    yield word
    kubectl("delete", "node", word)


@pytest.fixture
def port() -> int:
    """A free port on loopback."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def deployment(namespace) -> str:
    """A Deployment for the cache to belong to; its pod never runs, as the keepers here are processes."""
    return make_deployment(namespace)


@pytest.fixture
def keeper(namespace, tmp_path):
    """Make keepers: `keeper(rules, IMAGES=...)`; started by `with`, killed at its end."""

    def make(rules, **values: str) -> Keeper:
        return make_keeper(namespace, rules, tmp_path, values)

    return make


@pytest.fixture(scope="session")
def helm_home(tmp_path_factory):
    """Folders of helm's own, so that the machine's stay as they are."""
    home = tmp_path_factory.mktemp("helm")
    for key in ("CACHE", "CONFIG", "DATA"):
        os.environ[f"HELM_{key}_HOME"] = str(home / key.lower())
