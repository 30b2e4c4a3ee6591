"""ImagePullJobs and ImageListPullJobs on the real cluster: real CEL, kubelets and runtimes, and a keeper."""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from images import fresh_image, ill_image
from pulljobs import Jobs, conditions, define, filled_in, forget_rights, keeper_of_jobs
from realcluster import (
    Keeper,
    apply,
    container,
    eventually,
    get,
    has,
    kubectl,
    namespace_for,
    nodes,
    pod,
    registry,
    registry_away,
)

QUICK = {"backoffLimit": 0, "timeoutSeconds": 60}


@pytest.fixture(scope="module")
def place(request, cluster) -> Iterator[str]:
    define()
    with namespace_for(request.node) as name:
        yield name
        forget_rights(name)


@pytest.fixture(scope="module")
def jobs(place, tmp_path_factory) -> Iterator[Jobs]:
    with keeper_of_jobs(place, tmp_path_factory.mktemp("keeper")):
        yield Jobs(place)


@pytest.fixture
def own(namespace, tmp_path) -> Iterator[tuple[Jobs, Keeper]]:
    """Jobs of a namespace of its own, with a keeper that is not started yet."""
    define()
    yield Jobs(namespace), keeper_of_jobs(namespace, tmp_path)
    forget_rights(namespace)


def test_openkruises_example_with_names_and_image_filled_in_puts_the_image_on_just_those_nodes(jobs):
    first, *others = nodes()
    image = fresh_image(300_000)
    kubectl("-n", jobs.namespace, "apply", "-f", "-", text=filled_in(image, [first], "app-1a2b3c"))
    status = jobs.ended("app-1a2b3c")
    counts = {key: status[key] for key in ("desired", "active", "succeeded", "failed", "message")}
    assert counts == {
        "desired": 1,
        "active": 0,
        "succeeded": 1,
        "failed": 0,
        "message": "job has completed",
    }
    assert conditions(status) == {"Complete": "True", "Failed": "False"}
    (digest,) = status["digests"]
    assert digest.startswith("sha256:")
    assert has(first, image)
    assert not any(has(node, image) for node in others)
    eventually(lambda: not jobs.pods("app-1a2b3c"), "no pod of the job", seconds=30)
    ((reason, note),) = jobs.events("app-1a2b3c")
    assert (reason, image in note) == ("PullImageSucceed", True)


def test_no_more_than_an_image_is_needed_and_every_node_gets_it(jobs):
    image = fresh_image()
    jobs.apply("short", image=image, selector={"matchExpressions": all_nodes()})
    assert jobs.ended("short")["succeeded"] == len(nodes())
    assert all(has(node, image) for node in nodes())


def all_nodes() -> list[dict]:
    return [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes()}]


def test_both_versions_are_served_and_are_the_same(jobs):
    jobs.apply("old", version="v1alpha1", image=fresh_image(), selector={"names": nodes()})
    status = jobs.ended("old")
    for version in ("v1alpha1", "v1beta1"):
        kind = f"imagepulljobs.{version}.apps.kruise.io"
        found = json.loads(kubectl("-n", jobs.namespace, "get", kind, "old", "-o", "json"))
        assert (found["apiVersion"], found["status"]) == (f"apps.kruise.io/{version}", status)
        assert found["spec"]["completionPolicy"] == {"type": "Always"}
        assert found["spec"]["pullPolicy"] == {"backoffLimit": 3, "timeoutSeconds": 600}


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("imagepulljobs.v1beta1.apps.kruise.io", "NAME TOTAL ACTIVE SUCCEED FAILED AGE"),
        ("imagepulljobs.v1alpha1.apps.kruise.io", "NAME TOTAL ACTIVE SUCCEED FAILED AGE MESSAGE"),
        ("imagelistpulljobs", "NAME TOTAL SUCCEEDED COMPLETED AGE"),
    ],
)
def test_the_columns_are_openkruises(jobs, kind, columns):
    jobs.apply("shown", image="registry.example/none:1", parallelism=0)
    jobs.apply("shown", "ImageListPullJob", images=["registry.example/none:1"], parallelism=0)
    assert kubectl("-n", jobs.namespace, "get", kind).splitlines()[0].split() == columns.split()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.image: Required value"),
        ({"image": ""}, "spec.image"),
        ({"image": "registry.example/Upper:1"}, "without capitals in its path"),
        (
            {"image": "a/b:1", "selector": {"names": ["n1"], "matchLabels": {"a": "b"}}},
            "names cannot stand together with matchLabels",
        ),
        ({"image": "a/b:1", "selector": {"names": ["n1", "n1"]}}, "Duplicate value"),
        ({"image": "a/b:1", "selector": {"names": []}}, "at least 1"),
        ({"image": "a/b:1", "selector": {}, "podSelector": {}}, "exclude each other"),
        ({"image": "a/b:1", "parallelism": "10%"}, "no percentage"),
        ({"image": "a/b:1", "parallelism": -1}, "whole number from 0"),
        (
            {"image": "a/b:1", "completionPolicy": {"activeDeadlineSeconds": 599}},
            "must not be less than pullPolicy.timeoutSeconds",
        ),
        (
            {"image": "a/b:1", "completionPolicy": {"type": "Never", "ttlSecondsAfterFinished": 5}},
            "go with type Always only",
        ),
        ({"image": "a/b:1", "completionPolicy": {"type": "Sometimes"}}, "Unsupported value"),
        ({"image": "a/b:1", "imagePullPolicy": "Never"}, "Unsupported value"),
        ({"image": "a/b:1", "pullPolicy": {"timeoutSeconds": 0}}, "greater than or equal to 1"),
        (
            {"image": "a/b:1", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "In and NotIn need values",
        ),
    ],
)
@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_a_spec_that_cannot_be_run_is_refused_with_the_reason(jobs, spec, said, version):
    ended = jobs.try_to("bad", version=version, **spec)
    assert ended.returncode == 1
    assert said in ended.stderr


@pytest.mark.parametrize(
    ("images", "said"),
    [([], "at least 1"), (["a/b:1", "a/b:1"], "Duplicate"), (["a/b:1"] * 256, "at most 255")],
)
def test_a_list_of_no_use_is_refused(jobs, images, said):
    assert said in jobs.try_to("bad", "ImageListPullJob", images=images).stderr


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "a/b:1", "parallelism": "10"},
        {"image": "a/b:1", "selector": {"matchLabels": {}}},
        {"image": f"registry.example:5000/a/b:1@sha256:{'0' * 64}"},
        {"image": "[2001:db8::1]:5000/a/b__c:v1"},
        {"image": "a/b:1", "tolerations": [{"operator": "Exists"}], "pullPolicy": {"backoffLimit": -1}},
    ],
)
def test_what_openkruise_takes_is_taken(jobs, spec):
    ended = jobs.try_to("taken", **{"parallelism": 0, **spec, "completionPolicy": {"type": "Always"}})
    assert ended.returncode == 0, ended.stderr
    kubectl("-n", jobs.namespace, "delete", "imagepulljob", "taken")


def test_one_bad_image_of_a_list_is_told_with_the_kubelets_reason_and_hinders_no_other(jobs):
    good, bad = [fresh_image(), fresh_image()], ill_image("unknown tag")
    jobs.apply(
        "list",
        "ImageListPullJob",
        images=[good[0], bad, good[1]],
        parallelism=10,
        selector={"names": nodes()},
        pullPolicy=QUICK,
    )
    status = jobs.ended("list", "imagelistpulljobs")
    counts = {key: status[key] for key in ("desired", "active", "completed", "succeeded")}
    assert counts == {"desired": 3, "active": 0, "completed": 3, "succeeded": 2}
    (failed,) = status["failedImageStatuses"]
    assert (failed["name"], "not found" in failed["message"]) == (bad, True)
    assert status["nodes"] == {"desired": len(nodes()), "active": 0, "succeeded": 0, "failed": len(nodes())}
    assert conditions(status)["Failed"] == "True"
    assert all(has(node, image) for node in nodes() for image in good)
    assert {reason for reason, _ in jobs.events("list")} == {"PullImageFailed"}
    assert get("imagepulljobs.apps.kruise.io", namespace=jobs.namespace) == [
        found
        for found in get("imagepulljobs.apps.kruise.io", namespace=jobs.namespace)
        if "list" not in json.dumps(found["metadata"].get("ownerReferences", []))
    ]


def test_a_private_image_needs_the_right_secret_which_an_edit_may_bring(jobs):
    private = os.environ["PRIVATE_REGISTRY"]
    image = f"{private}/{fresh_image().partition('/')[2]}"
    for name, password in (("right", "open-sesame"), ("wrong", "guessed")):
        login = ("--docker-server", private, "--docker-username", "reader", "--docker-password", password)
        kubectl("-n", jobs.namespace, "create", "secret", "docker-registry", name, *login)
    spec = {"image": image, "selector": {"names": nodes()}, "parallelism": 10, "pullPolicy": QUICK}
    jobs.apply("private", pullSecrets=["wrong"], **spec)
    status = jobs.ended("private")
    assert status["failed"] == len(nodes())
    assert "authorization failed" in status["failures"][0]["message"] or "401" in str(status["failures"])
    jobs.apply("private", pullSecrets=["right"], **spec)
    assert jobs.ended("private", generation=2)["succeeded"] == len(nodes())


def test_names_that_are_no_nodes_are_failures_with_a_reason(jobs):
    image = fresh_image()
    jobs.apply("names", image=image, selector={"names": [nodes()[0], "nowhere"]})
    status = jobs.ended("names")
    assert (status["desired"], status["succeeded"], status["failedNodes"]) == (2, 1, ["nowhere"])
    assert status["failures"][0]["reason"] == "NodeNotFound"


def test_labels_that_no_node_has_are_said(jobs):
    jobs.apply("nobody", image=fresh_image(), selector={"matchLabels": {"no-such": "label"}})
    status = jobs.ended("nobody")
    assert (status["desired"], status["message"]) == (0, "no node matches")


def test_no_replicaset_takes_the_pods_of_a_job_for_its_own(jobs):
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container("kip-sleep:dev", "1h")]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    apply(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": jobs.namespace},
            "spec": spec,
        }
    )
    eventually(
        lambda: get("replicaset", "web", namespace=jobs.namespace)["status"].get("observedGeneration"),
        "a ReplicaSet that is looked after",
    )
    jobs.apply("labelled", image=fresh_image(3_000_000), parallelism=10, sandboxConfig={"labels": labels})
    status = jobs.ended("labelled")
    kubectl("-n", jobs.namespace, "delete", "replicaset", "web")
    assert (status["succeeded"], status.get("failures")) == (len(nodes()), None)
    owners = {
        event["regarding"]["name"]
        for event in get("events.events.k8s.io", namespace=jobs.namespace)
        if event["reason"] == "SuccessfulDelete"
    }
    assert "web" not in owners


def test_a_deadline_ends_it(jobs):
    jobs.apply(
        "late",
        image=ill_image("unknown tag"),
        selector={"names": nodes()},
        pullPolicy={"backoffLimit": 99, "timeoutSeconds": 8},
        completionPolicy={"activeDeadlineSeconds": 8},
    )
    status = jobs.ended("late")
    assert status["message"] == "job exceeds activeDeadlineSeconds"
    assert conditions(status)["Failed"] == "True"
    eventually(lambda: not jobs.pods("late"), "no pod of the job", seconds=30)


def test_a_job_with_time_to_live_0_is_gone_with_all_that_was_its(jobs):
    image = fresh_image()
    jobs.apply(
        "brief",
        image=image,
        selector={"names": [nodes()[0]]},
        completionPolicy={"ttlSecondsAfterFinished": 0},
    )
    eventually(lambda: jobs.get("brief") is None, "the job deleted", seconds=90)
    assert has(nodes()[0], image)
    eventually(lambda: not jobs.pods("brief"), "no pod of the job", seconds=60)


def test_the_nodes_of_pods_are_those_where_the_old_version_runs(jobs):
    node, *others = nodes()
    kept = {
        "name": "main",
        "image": f"{registry()}/kip-sleep:dev",
        "args": ["1h"],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65535,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod(jobs.namespace, "old-version", node, kept)
    kubectl("-n", jobs.namespace, "label", "pod", "old-version", "app=web")
    image = fresh_image()
    jobs.apply("beside", image=image, podSelector={"matchLabels": {"app": "web"}})
    assert jobs.ended("beside")["desired"] == 1
    assert has(node, image)
    assert not any(has(other, image) for other in others)


def test_a_paused_job_is_resumed_by_an_edit_and_changed_while_it_runs(jobs):
    first, second = fresh_image(), fresh_image()
    spec = {"selector": {"names": nodes()}}
    jobs.apply("paused", "ImageListPullJob", images=[first], parallelism=0, **spec)
    eventually(
        lambda: "paused" in jobs.status("paused", "imagelistpulljobs").get("message", ""), "that it is paused"
    )
    assert jobs.pods("paused") == []
    jobs.apply("paused", "ImageListPullJob", images=[first], parallelism=1, **spec)
    jobs.apply("paused", "ImageListPullJob", images=[second, first], parallelism=1, **spec)
    status = jobs.ended("paused", "imagelistpulljobs", generation=3)
    assert status["succeeded"] == 2
    assert all(has(node, image) for node in nodes() for image in (first, second))


def test_a_finished_job_runs_again_for_another_image(jobs):
    for number in (1, 2):
        image = fresh_image()
        jobs.apply("again", image=image, selector={"names": nodes()}, parallelism=10)
        assert jobs.ended("again", generation=number)["succeeded"] == len(nodes())
        assert all(has(node, image) for node in nodes())


def test_a_deleted_job_takes_its_pods_along(jobs):
    jobs.apply(
        "gone",
        image=ill_image("unknown tag"),
        selector={"names": nodes()},
        parallelism=10,
        pullPolicy={"backoffLimit": 99},
    )
    eventually(lambda: jobs.pods("gone"), "pods that pull")
    kubectl("-n", jobs.namespace, "delete", "imagepulljob", "gone")
    eventually(lambda: not jobs.pods("gone"), "no pod of the job", seconds=60)


def is_pulling(pod) -> bool:
    """Whether its image is not there yet; one that is there may wait for the pod's deletion."""
    statuses = pod["status"].get("containerStatuses", [])
    there = bool(statuses) and all(found["imageID"] for found in statuses)
    ended = pod["status"]["phase"] in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]
    return not there and not ended


def test_two_jobs_share_the_budget(own):
    jobs, keeper = own
    keeper.values["PULL_BUDGET"] = "1"
    images = {name: fresh_image(3_000_000) for name in ("one", "two")}
    most = 0
    for name, image in images.items():
        jobs.apply(name, image=image, selector={"names": nodes()}, parallelism=10)
    with keeper:
        deadline = time.monotonic() + 120
        while not all("completionTime" in jobs.status(name) for name in images):
            most = max(most, sum(map(is_pulling, jobs.pods())))
            assert time.monotonic() < deadline
    assert most == 1
    assert all(has(node, image) for node in nodes() for image in images.values())


@pytest.mark.alone
def test_pods_and_keeper_killed_and_the_registry_away_and_back_lose_nothing(own):
    jobs, keeper = own
    image = fresh_image()
    with registry_away():
        with keeper:
            jobs.apply(
                "hard",
                image=image,
                selector={"names": nodes()},
                parallelism=10,
                pullPolicy={"backoffLimit": 50},
            )
            eventually(lambda: len(jobs.pods("hard")) == len(nodes()), "pods that pull")
            kubectl("-n", jobs.namespace, "delete", "pods", "-l", "kip.dev/pull-job", "--wait=false")
            eventually(lambda: serials(jobs) > 1, "pods made anew", seconds=120)
            keeper.stop(signal.SIGKILL)
        before = jobs.status("hard")["startTime"]
        kubectl(
            "-n",
            jobs.namespace,
            "delete",
            "pods",
            "-l",
            "kip.dev/pull-job",
            "--wait=false",
            "--grace-period=1",
        )
    with keeper:
        status = jobs.ended("hard")
    assert (status["succeeded"], status["startTime"]) == (len(nodes()), before)
    assert all(has(node, image) for node in nodes())


def serials(jobs: Jobs) -> int:
    found = (one["metadata"]["labels"]["kip.dev/pull-serial"] for one in jobs.pods())
    return max(map(int, found), default=0)


@pytest.mark.alone
def test_kip_stands_aside_while_openkruise_is_installed_and_says_so(own):
    jobs, keeper = own
    mark = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "nodeimages.apps.kruise.io"},
        "spec": {
            "group": "apps.kruise.io",
            "names": {"kind": "NodeImage", "plural": "nodeimages"},
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }
    kubectl("apply", "-f", "-", text=json.dumps(mark))
    try:
        with keeper:
            jobs.apply("theirs", image=fresh_image())
            eventually(lambda: keeper.events("pull_jobs_not_run"), "that it says so")
            time.sleep(3)
            assert (jobs.pods(), jobs.status("theirs")) == ([], {})
    finally:
        kubectl("delete", "crd", "nodeimages.apps.kruise.io")
