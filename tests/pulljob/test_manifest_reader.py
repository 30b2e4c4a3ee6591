"""Manifests of pull jobs: every field, every rule of OpenKruise, all problems at once."""

import pytest

from kip.errors import JobError
from kip.pulljob.manifest_reader import read_job
from kip.pulljob.spec import Labels, PullJob


def manifest(
    kind: str = "ImagePullJob", version: str = "v1beta1", name: str = "app-1", **spec: object
) -> dict:
    wanted = {"image": "registry.example/app:1"} if kind == "ImagePullJob" else {"images": ["x/a:1", "x/b:2"]}
    return {
        "apiVersion": f"apps.kruise.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": "ci"},
        "spec": {**wanted, **spec},
    }


def problems(document: dict) -> dict[str, str]:
    with pytest.raises(JobError) as raised:
        read_job(document)
    assert all(problem.remedy for problem in raised.value.problems)
    return {problem.key: problem.message for problem in raised.value.problems}


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
@pytest.mark.parametrize("kind", ["ImagePullJob", "ImageListPullJob"])
def test_both_kinds_and_versions_are_read_with_openkruises_defaults(kind, version):
    job = read_job(manifest(kind, version))
    images = ("registry.example/app:1",) if kind == "ImagePullJob" else ("x/a:1", "x/b:2")
    assert job == PullJob("app-1", "ci", images, job.key, kind)
    assert (job.parallelism, job.timeout_seconds, job.backoff_limit) == (1, 600, 3)
    assert (job.forever, job.pull_policy, job.deadline_seconds, job.ttl_seconds) == (
        False,
        "IfNotPresent",
        None,
        None,
    )


def test_every_field_is_read():
    job = read_job(
        manifest(
            pullSecrets=["one", "two"],
            selector={
                "matchLabels": {"pool": "a"},
                "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}],
            },
            parallelism="10",
            pullPolicy={"timeoutSeconds": 300, "backoffLimit": 1},
            completionPolicy={"type": "Always", "activeDeadlineSeconds": 1200, "ttlSecondsAfterFinished": 0},
            sandboxConfig={"labels": {"team": "x"}, "annotations": {"io.example/net": "{}"}},
            imagePullPolicy="Always",
        )
    )
    assert job.node_labels == Labels({"pool": "a"}, ({"key": "zone", "operator": "NotIn", "values": ["b"]},))
    assert job.node_labels.text == "pool=a,zone notin (b)"
    assert (job.pull_secrets, job.parallelism, job.timeout_seconds) == (("one", "two"), 10, 300)
    assert (job.backoff_limit, job.deadline_seconds, job.ttl_seconds) == (1, 1200, 0)
    assert (job.sandbox_labels, job.sandbox_annotations) == ({"team": "x"}, {"io.example/net": "{}"})
    assert job.pull_policy == "Always"


def test_a_completion_policy_may_be_left_out_or_empty():
    assert not read_job(manifest(completionPolicy={})).forever
    assert not read_job(manifest(completionPolicy=None)).forever


def test_a_negative_backoff_limit_means_the_default():
    assert read_job(manifest(pullPolicy={"backoffLimit": -1})).backoff_limit == 3


def test_an_empty_selector_means_all_nodes():
    assert read_job(manifest(selector={})).node_labels == Labels()


@pytest.mark.parametrize("given", [0, 7, "7"])
def test_parallelism_is_a_number_also_in_quotes(given):
    assert read_job(manifest(parallelism=given)).parallelism == int(given)


@pytest.mark.parametrize(
    ("spec", "where", "said"),
    [
        ({"image": ""}, "spec.image", "names no image"),
        ({"image": "registry.example/App:1"}, "spec.image", "capitals"),
        ({"images": ["x/a:1"]}, "spec.images", "no field of ImagePullJob"),
        ({"selector": {}, "podSelector": {}}, "spec.podSelector", "excludes selector"),
        (
            {"selector": {"names": ["a"], "matchLabels": {"b": "c"}}},
            "spec.selector.names",
            "excludes matchLabels",
        ),
        ({"selector": {"names": ["a", "a"]}}, "spec.selector.names[1]", "twice"),
        ({"selector": {"names": []}}, "spec.selector.names", "names no node"),
        ({"selector": {"matchLabels": {"a b": "c"}}}, 'spec.selector.matchLabels["a b"]', "is not made of"),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}},
            "spec.podSelector.matchExpressions[0].operator",
            "no operator",
        ),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "spec.podSelector.matchExpressions[0].values",
            "is empty",
        ),
        ({"parallelism": "10%"}, "spec.parallelism", "no percentage"),
        ({"parallelism": -1}, "spec.parallelism", "less than 0"),
        ({"parallelism": True}, "spec.parallelism", "no whole number"),
        ({"pullPolicy": {"timeoutSeconds": 0}}, "spec.pullPolicy.timeoutSeconds", "less than 1"),
        ({"pullPolicy": {"timeoutSeconds": 2**31}}, "spec.pullPolicy.timeoutSeconds", "too large"),
        ({"completionPolicy": {"type": "Sometimes"}}, "spec.completionPolicy.type", "no word"),
        (
            {"completionPolicy": {"type": "Never", "activeDeadlineSeconds": 1200}},
            "spec.completionPolicy.activeDeadlineSeconds",
            "Always only",
        ),
        (
            {"completionPolicy": {"activeDeadlineSeconds": 599}},
            "spec.completionPolicy.activeDeadlineSeconds",
            "less than pullPolicy.timeoutSeconds, which is 600",
        ),
        (
            {"completionPolicy": {"ttlSecondsAfterFinished": -1}},
            "spec.completionPolicy.ttlSecondsAfterFinished",
            "less",
        ),
        ({"sandboxConfig": {"labels": {"a": 1}}}, "spec.sandboxConfig.labels.a", "no text"),
        ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "no word"),
        ({"pullSecrets": ["No"]}, "spec.pullSecrets[0]", "is not made of"),
        ({"pullSecrets": [{"name": "x"}]}, "spec.pullSecrets[0]", "no text"),
        ({"parallelsm": 3}, "spec.parallelsm", "no field"),
        ({"selector": ["a"]}, "spec.selector", "no mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(spec, where, said):
    assert said in problems(manifest(**spec))[where]


@pytest.mark.parametrize(
    ("images", "where"),
    [
        ([], "spec.images"),
        (["x/a:1", "x/a:1"], "spec.images[1]"),
        ([f"x/a:{number}" for number in range(256)], "spec.images"),
        (["x/a:1", "x/A:1"], "spec.images[1]"),
    ],
)
def test_a_list_has_1_to_255_different_images(images, where):
    assert where in problems(manifest("ImageListPullJob", images=images))


def test_a_list_whose_deadline_is_below_its_timeout_is_refused_too():
    found = problems(manifest("ImageListPullJob", completionPolicy={"activeDeadlineSeconds": 60}))
    assert list(found) == ["spec.completionPolicy.activeDeadlineSeconds"]


def test_all_problems_come_at_once():
    document = manifest(name="App_1", parallelism="x", image="", imagePullPolicy="?")
    document["apiVersion"] = "apps.kruise.io/v1"
    wanted = {"apiVersion", "metadata.name", "spec.parallelism", "spec.image", "spec.imagePullPolicy"}
    assert problems(document).keys() == wanted


def test_the_key_tells_jobs_apart_and_stays_when_the_spec_is_edited():
    one, edited = read_job(manifest()), read_job(manifest(parallelism=9))
    other = read_job(manifest("ImageListPullJob"))
    assert (one.key == edited.key, one.key == other.key) == (True, False)


def test_tolerations_of_newer_versions_are_taken_as_every_taint_is_tolerated_anyway():
    wanted = [{"key": "gpu", "operator": "Exists"}]
    assert read_job(manifest(tolerations=wanted)) == read_job(manifest())
