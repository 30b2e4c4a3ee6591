"""`kip pull` on the real cluster: kubelets pull, the runtimes tell what they have, and no pod is left."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest
import yaml
from images import fresh_image, ill_image, move_tag, moving_image
from localcluster.layout import RESERVED
from realcluster import (
    KIP,
    TOP,
    apply,
    container,
    eventually,
    get,
    hack,
    has,
    kubeconfig_for,
    kubectl,
    nodes,
    pod,
    registry,
    registry_away,
)

from kip.config.quantities import parse_quantity


class Pull:
    """Runs `kip pull` in a namespace, on the nodes that are not reserved for another test."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        sleeper = f"{registry()}/kip-sleep:dev"
        self.environment = {**os.environ, "NAMESPACE": namespace, "KIP_IMAGE": sleeper}

    def start(self, *arguments: str, text: str | None = None) -> subprocess.Popen[str]:
        stdin = subprocess.PIPE if text is not None else subprocess.DEVNULL
        started = subprocess.Popen(
            [KIP, "pull", *arguments],
            cwd=TOP,
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if text is not None:
            assert started.stdin
            started.stdin.write(text)
            started.stdin.close()
            started.stdin = None
        return started

    def __call__(self, *arguments: str, text: str | None = None) -> tuple[int, str, str]:
        ended = self.start(*arguments, text=text)
        try:
            out, err = ended.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            ended.kill()
            out, err = ended.communicate()
            raise AssertionError(f"no end within 240 s: {out}\n{err}") from None
        return ended.returncode, out, err

    def pods(self) -> list[dict]:
        return get("pods", namespace=self.namespace, labels="kip.dev/pull-job")

    def serials(self) -> int:
        labels = (found["metadata"]["labels"] for found in self.pods())
        return max((int(found["kip.dev/pull-serial"]) for found in labels), default=0)

    def gone(self) -> None:
        eventually(lambda: not self.pods(), "no pod of the pull", seconds=30)


@pytest.fixture
def pull(namespace) -> Pull:
    return Pull(namespace)


@pytest.fixture
def all_nodes() -> str:
    return ",".join(nodes())


def job(image: str, names: list[str], **spec: object) -> str:
    """Return the manifest of the job that a pipeline would make; the pipeline's own place holders in it."""
    return yaml.safe_dump(
        {
            "apiVersion": "apps.kruise.io/v1alpha1",
            "kind": "ImagePullJob",
            "metadata": {"name": "APP_NAME"},
            "spec": {
                "image": image,
                "parallelism": 10,
                "selector": {"names": names},
                "completionPolicy": {
                    "type": "Always",
                    "activeDeadlineSeconds": 1200,
                    "ttlSecondsAfterFinished": 300,
                },
                "pullPolicy": {"backoffLimit": 3, "timeoutSeconds": 300},
                **spec,
            },
        }
    )


def cells(out: str) -> dict[tuple[str, str], dict]:
    return {(cell["node"], cell["image"]): cell for each in json.loads(out)["jobs"] for cell in each["cells"]}


@contextmanager
def running(pull: Pull, *arguments: str):
    process = pull.start(*arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_pipelines_job_puts_the_image_on_just_those_nodes(pull):
    first, *others = nodes()
    image = fresh_image(300_000)
    code, out, err = pull(
        "-f",
        "-",
        "--set",
        f"image={image}",
        "--set",
        "name=app-1a2b3c",
        "-o",
        "json",
        text=job("APP_IMAGE", [first]),
    )
    (found,) = json.loads(out)["jobs"]
    assert (code, found["name"], found["message"]) == (0, "app-1a2b3c", "job has completed"), err
    assert found["nodes"] | {"skipped": []} == {
        "desired": 1,
        "succeeded": 1,
        "failed": 0,
        "failedNodes": [],
        "skipped": [],
    }
    assert has(first, image)
    assert not any(has(node, image) for node in others)
    cell = cells(out)[first, image]
    assert (cell["state"], cell["present"], cell["bytes"] > 100_000) == ("pulled", False, True)
    assert cell["digest"].startswith(image.rpartition(":")[0] + "@sha256:")
    pull.gone()


def test_an_image_of_nothing_but_files_is_pulled_in_a_restricted_namespace(pull, all_nodes):
    image = fresh_image()  # one layer with one file of data: no shell, no libc
    code, out, _ = pull(image, "--nodes", all_nodes)
    assert (code, out.count(" pulled ")) == (0, len(nodes()))
    assert all(has(node, image) for node in nodes())


def test_a_bad_image_of_a_list_hinders_no_other_and_says_why(pull, all_nodes):
    good, bad = [fresh_image(), fresh_image()], ill_image("unknown tag")
    code, out, err = pull(good[0], bad, good[1], "--nodes", all_nodes, "--retries", "1", "-o", "json")
    found = cells(out)
    assert code == 3
    assert all(found[node, image]["state"] == "pulled" for node in nodes() for image in good)
    assert all("not found" in found[node, bad]["message"] for node in nodes())
    assert {found[node, bad]["reason"] for node in nodes()} <= {"ErrImagePull", "ImagePullBackOff"}
    assert "attempt 1 of 2 failed" in err
    pull.gone()


def test_a_private_image_needs_the_right_secret(pull, namespace, all_nodes):
    private = os.environ["PRIVATE_REGISTRY"]
    image = f"{private}/{fresh_image().partition('/')[2]}"
    for name, password in (("right", "open-sesame"), ("wrong", "guessed")):
        login = ("--docker-server", private, "--docker-username", "reader", "--docker-password", password)
        kubectl("-n", namespace, "create", "secret", "docker-registry", name, *login)
    code, out, _ = pull(image, "--nodes", all_nodes, "--retries", "0", "--secret", "wrong")
    assert (code, "authorization failed" in out or "401" in out) == (3, True), out
    code, out, _ = pull(image, "--nodes", all_nodes, "--secret", "right")
    assert code == 0, out
    assert all(has(node, image) for node in nodes())


def test_wrong_node_names_are_told_and_the_right_ones_served(pull):
    image = fresh_image()
    code, out, _ = pull(image, "--nodes", f"{nodes()[0]},nowhere")
    assert (code, f"{image} on nowhere: NodeNotFound: there is no node of that name" in out) == (3, True)
    assert has(nodes()[0], image)


def test_a_deadline_ends_it_in_time(pull, all_nodes):
    image, began = ill_image("unknown tag"), time.monotonic()
    code, out, _ = pull(image, "--nodes", all_nodes, "--retries", "99", "--deadline", "25s")
    assert (code, "DeadlineExceeded" in out, time.monotonic() - began < 50) == (3, True, True)
    assert "not found" in out
    pull.gone()


def test_parallelism_0_pulls_nothing(pull, all_nodes):
    image = fresh_image()
    code, out, _ = pull("-f", "-", "--set", "name=a", text=job(image, nodes(), parallelism=0))
    assert (code, "paused" in out, pull.pods()) == (3, True, [])
    assert not any(has(node, image) for node in nodes())


@pytest.mark.alone
def test_a_pod_that_is_deleted_in_the_middle_costs_nothing_but_time(pull, all_nodes):
    image = fresh_image()
    with registry_away():
        process = pull.start(image, "--nodes", all_nodes, "--retries", "50", "-o", "json")
        eventually(lambda: len(pull.pods()) == len(nodes()), "pods that pull")
        kubectl("-n", pull.namespace, "delete", "pods", "-l", "kip.dev/pull-job", "--wait=false")
    out, err = process.communicate(timeout=180)
    assert (process.returncode, json.loads(out)["complete"]) == (0, True), err


@pytest.mark.alone
def test_a_registry_that_comes_back_is_waited_for_as_long_as_there_are_retries(pull, all_nodes):
    image = fresh_image()
    with registry_away():
        process = pull.start(image, "--nodes", all_nodes, "--retries", "50")
        eventually(pull.pods, "pods that pull")
        eventually(lambda: pull.serials() > 1, "an attempt that failed")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, (out, err)
    assert all(has(node, image) for node in nodes())


@pytest.mark.alone
def test_a_run_that_was_killed_is_gone_on_with_and_no_pod_stays(pull, all_nodes):
    images = [fresh_image(), fresh_image()]
    with registry_away(), running(pull, *images, "--nodes", all_nodes, "--retries", "50") as process:
        eventually(lambda: len(pull.pods()) == len(nodes()), "pods that pull")
        process.kill()
        process.wait()
    left = pull.pods()
    assert all(0 < found["spec"]["activeDeadlineSeconds"] < 3600 for found in left)
    code, out, _ = pull(*images, "--nodes", all_nodes, "-o", "json")
    assert (code, json.loads(out)["complete"]) == (0, True)
    pull.gone()


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_removes_the_pods_and_says_how_far_it_was(pull, all_nodes, number, expected):
    with running(pull, ill_image("unknown tag"), "--nodes", all_nodes, "--retries", "99") as process:
        eventually(pull.pods, "pods that pull")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, "Stopped after" in out) == (expected, True), err
    pull.gone()


def test_kept_images_are_held_for_that_time_and_by_nobody_afterwards(pull, all_nodes):
    image, bad = fresh_image(), ill_image("unknown tag")
    code, _, _ = pull(image, bad, "--nodes", all_nodes, "--retries", "0", "--keep", "20s")
    assert code == 3

    def states():
        return [
            found["status"]["phase"] for found in pull.pods() if "deletionTimestamp" not in found["metadata"]
        ]

    assert states() == ["Running"] * len(nodes())
    eventually(lambda: states() == ["Succeeded"] * len(nodes()), "pods that end by themselves", seconds=60)


def test_the_nodes_of_pods_are_those_where_the_old_version_runs(pull, namespace):
    node, *others = nodes()
    pod(namespace, "old", node, container("kip-sleep:dev", "1h"))
    kubectl("-n", namespace, "label", "pod", "old", "app=web")
    eventually(lambda: _phase(pull, "old") == "Running", "the old version")
    image = fresh_image()
    code, _, _ = pull(image, "--pods", "app=web")
    assert (code, has(node, image), any(has(other, image) for other in others)) == (0, True, False)


def test_a_moved_tag_is_fetched_with_pull_policy_always(pull, all_nodes):
    image = moving_image()
    first = cells(pull(image, "--nodes", all_nodes, "-o", "json")[1])
    move_tag(image)
    code, out, _ = pull(image, "--nodes", all_nodes, "--pull-policy", "Always", "-o", "json")
    later = cells(out)
    assert code == 0
    assert all(later[key]["digest"] != first[key]["digest"] for key in first)
    pull.gone()
    again = cells(pull(image, "--nodes", all_nodes, "-o", "json")[1])
    assert all(cell["present"] for cell in again.values())


def test_a_step_in_the_cluster_needs_the_printed_rights_and_no_more(pull, namespace, with_rights):
    image = fresh_image()
    step = container("kip:dev", "pull", image, "--selector", f"!{RESERVED}", "--deadline", "2m")
    step["env"] = [{"name": "KIP_IMAGE", "value": f"{registry()}/kip-sleep:dev"}]
    spec = {"serviceAccountName": "kip-pull", "restartPolicy": "Never", "containers": [step]}
    metadata = {"name": "step", "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    eventually(lambda: _phase(pull, "step") in ("Succeeded", "Failed"), "the end of the step", seconds=180)
    said = kubectl("-n", namespace, "logs", "step", check=False)
    assert _phase(pull, "step") == "Succeeded", said
    assert all(has(node, image) for node in nodes())


@pytest.fixture
def with_rights(pull, namespace):
    """The ServiceAccount kip-pull with the rights that `kip pull --print-rbac` prints."""
    documents = pull("--print-rbac", "-n", namespace)[1]
    kubectl("apply", "-f", "-", text=documents)
    yield
    kubectl("delete", "clusterrole,clusterrolebinding", "kip-pull")


def test_the_printed_rights_are_enough_and_without_nodes_names_are(pull, namespace, tmp_path, all_nodes):
    rules = next(
        found["rules"]
        for found in yaml.safe_load_all(pull("--print-rbac", "-n", namespace)[1])
        if found["kind"] == "Role"
    )
    kubeconfig = str(kubeconfig_for(namespace, rules, tmp_path))
    image = fresh_image()
    code, out, err = pull(image, "--kubeconfig", kubeconfig, "--nodes", all_nodes)
    assert code == 0, (out, err)
    code, _, err = pull(image, "--kubeconfig", kubeconfig)
    assert (code, "--nodes" in err) == (4, True)


@pytest.mark.alone
def test_a_node_without_room_says_so_in_its_kubelets_words(pull):
    node = nodes()[0]
    cpus = parse_quantity(get("node", node)["status"]["allocatable"]["cpu"]) - sum(map(_cpu, pods_on(node)))
    filler = container("kip-sleep:dev", "1h")
    filler["resources"] = {"requests": {"cpu": f"{int(cpus * 1000)}m"}}
    pod(pull.namespace, "filler", node, filler)
    eventually(lambda: _phase(pull, "filler") == "Running", "a full node")
    code, out, _ = pull(fresh_image(), "--nodes", node, "--retries", "0")
    assert (code, "OutOfcpu" in out) == (3, True), out


@pytest.mark.alone
def test_neither_a_cordon_nor_a_taint_keeps_the_image_away(pull):
    node, image = nodes()[0], fresh_image()
    kubectl("cordon", node)
    kubectl("taint", "node", node, "kip.dev/closed=yes:NoExecute")
    try:
        code, out, _ = pull(image, "--nodes", node)
    finally:
        kubectl("taint", "node", node, "kip.dev/closed-")
        kubectl("uncordon", node)
    assert (code, has(node, image)) == (0, True), out


@pytest.mark.alone
def test_a_node_that_dies_in_the_middle_holds_up_nobody_and_is_served_when_it_is_back(pull, doomed):
    (node, *_), image = nodes(), fresh_image()
    hack("cluster", "node", "stop", doomed)
    with running(pull, image, "--nodes", f"{doomed},{node}", "--parallelism", "1") as process:
        eventually(lambda: has(node, image), "the image on the other node", seconds=150)
        assert process.poll() is None
        hack("cluster", "node", "start", doomed)
        out, err = process.communicate(timeout=150)
    assert process.returncode == 0, (out, err)
    pull.gone()


@pytest.fixture
def doomed():
    """A node of this test's own, which may die."""
    name, reserved = "doomed", "doom"
    there = json.loads(hack("cluster", "status", "-o", "json"))["nodes"]
    if not any(node["name"] == name for node in there):
        hack("cluster", "node", "add", "--reserve", reserved, name)
    yield name
    hack("cluster", "node", "remove", name)


def pods_on(node: str) -> list[dict]:
    found = json.loads(kubectl("get", "pods", "-A", "-o", "json", f"--field-selector=spec.nodeName={node}"))
    return [one for one in found["items"] if one["status"]["phase"] not in ("Succeeded", "Failed")]


def _cpu(found: dict) -> Decimal:
    asked = (
        one.get("resources", {}).get("requests", {}).get("cpu", "0") for one in found["spec"]["containers"]
    )
    return sum(map(parse_quantity, asked), Decimal(0))


def _phase(pull: Pull, name: str) -> str:
    return get("pod", name, namespace=pull.namespace)["status"]["phase"]
