"""A keeper whose API server, or the way to it, is in trouble: it waits, asks seldom, and heals by itself.

Between the keeper and the real API server is a proxy that makes the trouble; the tests themselves ask the
API server directly. One keeper lives through all of it: no trouble may leave it worse than it was.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import yaml
from faultproxy import Cut, Drop, FaultProxy, Hang, Request, Stream, error_event, page, status
from realcluster import (
    BLIND_RULES,
    KIP_RULES,
    Keeper,
    apply,
    eventually,
    get,
    hack,
    kubectl,
    make_deployment,
    make_keeper,
    namespace_for,
)

pytestmark = pytest.mark.timeout(120)
needs_root = pytest.mark.skipif(
    os.environ.get("KIP_E2E_CLUSTER") == "kind", reason="this takes root and hack/cluster"
)

NAME = "kubernetes-image-puller"
CONFIGMAP = "k8s-image-puller"
TROUBLE_SECONDS = float(os.environ.get("KIP_E2E_TROUBLE_SECONDS", "2"))
"""How long a trouble lasts at least. With 60 the printed numbers are those of a whole minute."""

MOST_AT_FIRST = 40
"""Requests while retries are close; later there may be one a second, where a hot loop makes a hundred."""

RETRY_AFTER_SECONDS = 3
SERVICE_ACCOUNT_MOUNT = """
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io
ln -s "$0" /run/secrets/kubernetes.io/serviceaccount
exec "$@"
"""


@dataclass
class Kept:
    """A cache, the ConfigMap that says what is in it, and its keeper behind the proxy."""

    namespace: str
    proxy: FaultProxy
    keeper: Keeper
    images: dict[str, str]
    wanted: str = ""
    since: str = ""

    def change(self) -> None:
        """Have another image in the ConfigMap's list."""
        self.wanted = next(name for name in self.images if name != self.wanted)
        metadata = {"name": CONFIGMAP, "namespace": self.namespace}
        data = {"IMAGES": f"{self.wanted}={self.images[self.wanted]}"}
        apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def daemonset(self) -> Any:
        """Return the cache."""
        return get("daemonset", NAME, namespace=self.namespace)

    def converged(self) -> bool:
        """Whether the cache is as wanted."""
        found = self.daemonset()
        containers = found["spec"]["template"]["spec"]["containers"] if found else []
        return [item["name"] for item in containers] == [self.wanted]

    def complete(self) -> bool:
        """Whether its pods are ready, too."""
        counts = self.daemonset()["status"] if self.converged() else {}
        return 0 < counts.get("desiredNumberScheduled", 0) == counts.get("numberReady")

    def healthy(self) -> bool:
        """Whether both watches are open."""
        return {request.path.rpartition("/")[2] for request in self.proxy.watched} == {
            "configmaps",
            "daemonsets",
        }

    def failures(self, event: str = "", **values: str) -> list[dict[str, Any]]:
        """Return what the keeper told of failures since the test began, with these values."""
        lines = [line for line in self.keeper.events(event) if "retry_in_s" in line]
        lines = [line for line in lines if line["timestamp"] > self.since]
        return [line for line in lines if values.items() <= line.items()]

    def begin(self) -> None:
        """Count failures from now on."""
        self.since = max((line["timestamp"] for line in self.keeper.events()), default="")

    def backs_off(self, event: str, **values: str) -> bool:
        """Whether there were three such failures in a row, with a longer wait after each."""
        waits = [line["retry_in_s"] for line in self.failures(event, **values)]
        return any(waits[at] < waits[at + 1] < waits[at + 2] for at in range(len(waits) - 2))

    def watch_backs_off(self) -> bool:
        """Whether a watch failed so."""
        return self.backs_off("watch_interrupted", resource="configmaps")


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """Name to reference of two small images."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {image["name"]: image["reference"] for image in found[:2]}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> Iterator[FaultProxy]:
    with FaultProxy(kubectl("config", "view", "--raw", "--minify"), tmp_path_factory.mktemp("proxy")) as it:
        yield it


@pytest.fixture(scope="module", params=[KIP_RULES, BLIND_RULES], ids=["kip's Role", "upstream's"])
def keeping(request, proxy, images, tmp_path_factory) -> Iterator[Kept]:
    """A complete cache and its keeper, which reads its token from a file, for all tests here."""
    folder = tmp_path_factory.mktemp("keeper")
    with namespace_for(request.node) as namespace:
        values = {"CONFIGMAP_NAME": CONFIGMAP, "DEPLOYMENT_NAME": make_deployment(namespace)}
        keeper = make_keeper(namespace, request.param, folder, values)
        proxy.lead(keeper.kubeconfig)
        token_in_a_file(keeper)
        it = Kept(namespace, proxy, keeper, images)
        it.change()
        with keeper:
            eventually(it.complete, "a complete cache")
            yield it


@pytest.fixture
def kept(keeping) -> Kept:
    """The keeper, well again after the test before."""
    if keeping.keeper.process.poll() is not None:
        keeping.keeper.__enter__()
    eventually(keeping.healthy, "both watches, after the trouble before", seconds=40)
    # Events end the watches' rows of failures.
    keeping.change()
    eventually(keeping.converged, "a keeper that works")
    keeping.begin()
    return keeping


def token_in_a_file(keeper: Keeper):
    """Have the keeper's token in a file instead of its kubeconfig; return that file."""
    config = yaml.safe_load(keeper.kubeconfig.read_text("utf-8"))
    path = keeper.kubeconfig.with_name("token")
    path.write_text(config["users"][0]["user"]["token"], "utf-8")
    config["users"][0]["user"] = {"tokenFile": str(path)}
    keeper.kubeconfig.write_text(yaml.safe_dump(config), "utf-8")
    return path


@contextmanager
def enduring(kept: Kept) -> Iterator[None]:
    """Count what the keeper asks while the body makes trouble; then the same process must do its work."""
    process, requests, began = kept.keeper.process, len(kept.proxy.requests), time.monotonic()
    yield
    seconds = time.monotonic() - began
    asked, failed = len(kept.proxy.requests) - requests, len(kept.failures())
    print(
        f"{os.environ['PYTEST_CURRENT_TEST'].partition('::')[2]}: {asked} requests and {failed} failures "
        f"in {seconds:.0f} s, {60 * asked / seconds:.0f} requests a minute"
    )
    # A request that was under way when its server went may be waited for, for 20 s.
    eventually(kept.converged, "the wanted list, after the trouble", seconds=45)
    assert (process.poll(), kept.keeper.process) == (None, process)
    assert max(asked, failed) < MOST_AT_FIRST + seconds


@contextmanager
def lasting(seconds: float = TROUBLE_SECONDS) -> Iterator[None]:
    """Take so long at least."""
    end = time.monotonic() + seconds
    yield
    eventually(lambda: time.monotonic() > end, "the end of the trouble", seconds=seconds + 1)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(500), id="500"),
        pytest.param(status(503), id="503"),
        pytest.param(page(404), id="HTML with 404"),
        pytest.param(page(502), id="HTML with 502"),
        pytest.param(page(200), id="HTML with 200"),
        pytest.param(Drop(), id="closed without an answer"),
    ],
)
def test_no_good_answer_to_anything(kept, fault):
    with enduring(kept), kept.proxy.fault(fault), lasting():
        kept.change()
        eventually(lambda: kept.failures("reconcile_failed"), "a reconcile that fails")
        kept.proxy.break_connections()
        eventually(lambda: kept.backs_off("reconcile_failed"), "a back-off")
        eventually(kept.watch_backs_off, "a back-off of the watch")


def test_writes_that_conflict(kept):
    conflict = kept.proxy.fault(status(409), lambda request: request.writes)
    with enduring(kept), conflict, lasting():
        kept.change()
        eventually(lambda: kept.backs_off("reconcile_failed", error="Conflict"), "a back-off")


def test_the_wait_that_the_server_asks_for_is_kept(kept):
    busy = kept.proxy.fault(status(429, Retry_After=str(RETRY_AFTER_SECONDS)))
    before = len(kept.proxy.requests)
    with enduring(kept), busy, lasting(2.5 * RETRY_AFTER_SECONDS):
        for _ in range(4):
            kept.change()  # which an open watch tells
        eventually(lambda: kept.failures("reconcile_failed"), "a reconcile that is put off")
        kept.proxy.break_connections()
    refused = [request for request in kept.proxy.requests[before:] if request.status == 429]
    rows: dict[str, list[float]] = {}
    for request in refused:
        rows.setdefault(who_asks(request), []).append(request.at)
    hasty = {
        part: row
        for part, row in rows.items()
        if any(later - earlier < RETRY_AFTER_SECONDS for earlier, later in pairwise(row))
    }
    parts = {part.rpartition("/")[2] for part in rows}
    assert (parts >= {"reconcile", "configmaps", "daemonsets"}, hasty) == (True, {})


def who_asks(request: Request) -> str:
    """Return which part of the keeper sent it; each keeps its own patience."""
    if "/leases" in request.path:
        return "lease"
    # A reconcile begins with the settings; when they are refused it asks for nothing more. One that was
    # under way goes on to a dry run.
    tries = request.writes and request.path.endswith("/daemonsets")
    return "reconcile" if tries or request.path.endswith(f"/{CONFIGMAP}") else f"watch of {request.path}"


def test_events_in_a_storm_do_not_undo_the_back_off(kept):
    down = kept.proxy.fault(status(503), lambda request: request.writes)
    with enduring(kept), down, lasting():
        kept.change()
        operation = {"metadata": {"annotations": {"storm": ""}}}
        for number in range(15):
            operation["metadata"]["annotations"]["storm"] = str(number)
            kubectl("-n", kept.namespace, "patch", "daemonset", NAME, "-p", json.dumps(operation))
        eventually(lambda: kept.backs_off("reconcile_failed"), "a back-off")


def test_a_right_that_is_missing_for_a_moment(kept):
    with enduring(kept), kept.proxy.fault(status(403)):
        kept.change()
        kept.proxy.break_connections()
        eventually(lambda: len(kept.failures("watch_interrupted")) >= 3, "refusals")


def watches(request: Request) -> bool:
    return request.watches


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Stream(), id="end at once"),
        pytest.param(Stream(b'{"type": "MODIF'), id="end in the middle of a line"),
        pytest.param(error_event(410), id="say that the version is too old"),
        pytest.param(status(410), id="are refused as too old"),
        pytest.param(page(200), id="are a page of HTML"),
    ],
)
def test_watches_that(kept, fault):
    with enduring(kept), kept.proxy.fault(fault, watches), lasting():
        kept.change()
        kept.proxy.break_connections()
        eventually(kept.watch_backs_off, "a back-off")


@pytest.mark.parametrize("properly", [True, False], ids=["and ends", "and breaks off"])
def test_a_watch_that_is_cut_in_the_middle_of_a_line(kept, properly):
    with enduring(kept), kept.proxy.fault(Cut(properly=properly), watches, times=4) as cut:
        kept.change()
        eventually(lambda: cut.hits, "an event that was cut")


def test_nobody_answers(kept):
    silence = kept.proxy.fault(Hang(), lambda request: not request.watches)
    with enduring(kept), silence:
        kept.change()
        eventually(lambda: kept.failures("reconcile_failed", error="Unreachable"), "an end of patience")
        kept.proxy.break_connections()


def test_connections_are_refused(kept):
    with enduring(kept), kept.proxy.refusing(), lasting():
        kubectl("-n", kept.namespace, "delete", "daemonset", NAME)
        eventually(kept.watch_backs_off, "a back-off")


def test_a_certificate_of_a_stranger(kept):
    with enduring(kept), kept.proxy.unknown_certificate(), lasting():
        kept.change()
        eventually(kept.watch_backs_off, "a back-off")


def test_an_authority_that_is_replaced(kept):
    with enduring(kept), kept.proxy.unknown_certificate():
        kept.change()
        eventually(lambda: kept.failures("watch_interrupted"), "a certificate that is refused")
        kept.proxy.lead(kept.keeper.kubeconfig, kept.proxy.other_certificate)
        eventually(kept.converged, "the new list, with the new authority", seconds=20)
        kept.proxy.lead(kept.keeper.kubeconfig)


def test_a_token_that_is_no_longer_valid_is_replaced_in_its_file(kept):
    path = kept.keeper.kubeconfig.with_name("token")
    with enduring(kept):
        kubectl("-n", kept.namespace, "delete", "serviceaccount", "keeper")
        kubectl("-n", kept.namespace, "create", "serviceaccount", "keeper")
        # The API server remembers for some 10 s that a token was good.
        eventually(lambda: kept.proxy.ask("/api", path.read_text("utf-8")) == 401, "the end of the token")
        kept.change()
        eventually(lambda: kept.failures("reconcile_failed", error="Unauthorized"), "a refusal")
        path.write_text(kubectl("-n", kept.namespace, "create", "token", "keeper").strip(), "utf-8")


@pytest.mark.alone
@needs_root
@pytest.mark.parametrize(("part", "failures"), [("api", 5), ("etcd", 2)])
def test_the_control_plane_goes_and_comes_back(kept, part, failures):
    with enduring(kept):
        hack("cluster", part, "stop")
        try:
            with lasting():
                kept.proxy.break_connections()
                eventually(lambda: len(kept.failures("watch_interrupted")) >= failures, "failures")
        finally:
            hack("cluster", part, "start")
        kept.change()


@pytest.mark.alone
@needs_root
def test_in_a_pod_a_token_that_is_replaced_counts_at_once(namespace, deployment, proxy, images, tmp_path):
    values = {"CONFIGMAP_NAME": CONFIGMAP, "DEPLOYMENT_NAME": deployment, "KUBECONFIG": ""}
    values |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(proxy.port)}
    keeper = make_keeper(namespace, KIP_RULES, tmp_path, values)
    old = token_in_a_file(keeper)
    (tmp_path / "ca.crt").write_bytes(proxy.certificate.read_bytes())
    keeper.wrapper = ("unshare", "--mount", "sh", "-ec", SERVICE_ACCOUNT_MOUNT, str(tmp_path))
    it = Kept(namespace, proxy, keeper, images)
    it.change()
    with keeper:
        eventually(it.converged, "a cache")
        expired = old.read_text("utf-8")
        with proxy.fault(status(401), lambda request: request.token == expired):
            it.change()
            eventually(lambda: it.failures("reconcile_failed", error="Unauthorized"), "a refusal")
            old.write_text(kubectl("-n", namespace, "create", "token", "keeper").strip(), "utf-8")
            assert eventually(it.converged, "the new list, with the new token", seconds=20)
