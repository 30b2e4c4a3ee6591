"""`kip pull`: what it reads, what it says, how it ends."""

import json
from datetime import UTC, datetime

import pytest
import yaml
from pullcluster import Book, PullCluster
from pullworld import BAD, World

from kip.cli.pull_jobs import Typed, from_typed, selector_of
from kip.cli.tables import amount
from kip.errors import Forbidden, UsageError
from kip.pulljob.spec import PullJob

IMAGE = "registry.example/app:1.4.2"
OTHER = "registry.example/web:2.0.0"
NODES = ["node1", "node2"]
VALUES = {"NAMESPACE": "ci", "KIP_IMAGE": "registry.example/kip-sleep:1"}
MANIFEST = f"""
apiVersion: apps.kruise.io/v1alpha1
kind: ImagePullJob
metadata:
  name: APP_NAME
spec:
  image: APP_IMAGE
  parallelism: 10
  selector:
    names: [{NODES[0]}]
  completionPolicy:
    type: Always
    activeDeadlineSeconds: 1200
    ttlSecondsAfterFinished: 300
  pullPolicy:
    backoffLimit: 0
    timeoutSeconds: 300
"""


@pytest.fixture
def cluster(monkeypatch):
    """Let `kip pull` find these nodes; `fate` says what becomes of each pull."""

    def use(fate: dict | None = None) -> PullCluster:
        # Of the job itself the world needs only whether its pods hold anything.
        world = World(PullJob("any", "ci", (), "any"), list(NODES), fate or {}, now=datetime.now(UTC))
        found = PullCluster(world)
        monkeypatch.setattr("kip.cli.pull.connect", lambda *_: found)
        monkeypatch.setattr("kip.pulljob.runner.PodBook", lambda *_: Book(world))
        monkeypatch.setattr("kip.pulljob.runner.GATHER_SECONDS", 0.0)
        return found

    return use


@pytest.fixture
def job_file(tmp_path):
    """Write a manifest; give its path."""

    def write(text: str = MANIFEST) -> str:
        path = tmp_path / "job.yaml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


# How it ends.


def test_images_on_all_nodes_are_exit_code_0(kip, cluster):
    found = cluster()
    code, out, err = kip("pull", IMAGE, OTHER, **VALUES)
    assert code == 0
    assert out.splitlines()[0].split() == ["IMAGE", "NODE", "STATE", "TIME", "SIZE", "DIGEST"]
    assert out.count(" pulled ") == 4
    assert "2 of 2 nodes have all images of pull-" in out.splitlines()[-1]
    assert f"node1: {IMAGE} pulled" in err
    assert found.world.pods == {}


@pytest.mark.parametrize("option", ["--nodes", "--selector", "--pods"])
@pytest.mark.parametrize("value", ["", ",", " "])
def test_a_choice_of_nodes_that_is_empty_does_not_mean_all(kip, cluster, option, value):
    found = cluster()
    code, _, err = kip("pull", IMAGE, option, value, **VALUES)
    assert (code, "is empty" in err, found.calls) == (2, True, [])


def test_what_is_missing_is_told_with_the_kubelets_reason(kip, cluster):
    cluster({("node2", IMAGE): BAD})
    code, out, err = kip("pull", IMAGE, "--retries", "0", **VALUES)
    assert code == 3
    assert (
        f"{IMAGE} on node2: ErrImagePull: {IMAGE}: not found\n  Correct the reference, or push the image.\n"
    ) in out
    assert f"node2: {IMAGE} failed: ErrImagePull: {IMAGE}: not found" in err
    assert out.splitlines()[-1].startswith("Not complete after ")


def test_a_manifest_is_run_with_what_is_set_in_place_of_its_place_holders(kip, cluster, job_file):
    cluster()
    code, out, _ = kip(
        "pull", "-f", job_file(), "--set", f"image={IMAGE}", "--set", "name=app-1", "-o", "json", **VALUES
    )
    (job,) = json.loads(out)["jobs"]
    assert (code, job["name"], job["namespace"], job["complete"]) == (0, "app-1", "ci", True)
    assert [(cell["node"], cell["image"], cell["state"]) for cell in job["cells"]] == [
        ("node1", IMAGE, "pulled")
    ]
    assert job["nodes"] == {"desired": 1, "succeeded": 1, "failed": 0, "failedNodes": [], "skipped": []}
    assert job["cells"][0]["digest"].startswith("registry.example/x@sha256:")


def test_several_documents_are_run_one_after_another_from_stdin_too(kip, cluster, monkeypatch):
    cluster({("node1", IMAGE): BAD})
    one = MANIFEST.replace("APP_NAME", "one").replace("APP_IMAGE", IMAGE)
    two = MANIFEST.replace("APP_NAME", "two").replace("APP_IMAGE", OTHER)
    import io  # noqa: PLC0415

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{one}---\n{two}---\nkind: Secret\n"))
    code, out, err = kip("pull", "-f", "-", "-o", "yaml", **VALUES)
    found = yaml.safe_load(out)
    assert (code, found["complete"], "Secret is no pull job" in err) == (3, False, True)
    assert [(job["name"], job["complete"]) for job in found["jobs"]] == [("one", False), ("two", True)]


def test_all_problems_of_all_documents_come_at_once_with_exit_code_2(kip, cluster, job_file):
    found = cluster()
    code, _, err = kip("pull", "-f", job_file(f"{MANIFEST}---\n{MANIFEST.replace('10', '10%')}"), **VALUES)
    assert (code, err.count("metadata.name="), err.count("spec.image="), err.count("percentage")) == (
        2,
        2,
        2,
        1,
    )
    assert err.startswith("The job cannot be used:")
    assert found.calls == []


def test_names_and_labels_together_are_refused_as_openkruise_refuses_them(kip, cluster, job_file):
    cluster()
    text = MANIFEST.replace(f"names: [{NODES[0]}]", f"names: [{NODES[0]}]\n    matchLabels: {{node-type: a}}")
    code, _, err = kip("pull", "-f", job_file(text), "--set", f"image={IMAGE}", "--set", "name=a", **VALUES)
    assert (code, "spec.selector.names" in err, "excludes matchLabels" in err) == (2, True, True)


def test_a_missing_right_is_exit_code_4(kip, cluster):
    found = cluster()
    found.failures = {"list pods": [Forbidden("pods is forbidden: it cannot list")]}
    assert kip("pull", IMAGE, **VALUES)[0] == 4


def test_no_node_that_matches_is_not_complete_and_said(kip, cluster):
    cluster()
    code, out, _ = kip("pull", IMAGE, "--selector", "pool=none", **VALUES)
    assert (code, "no node matches" in out) == (3, True)


def test_a_paused_job_is_not_complete(kip, cluster):
    cluster()
    code, out, _ = kip("pull", IMAGE, "--parallelism", "0", **VALUES)
    assert (code, "job is paused" in out) == (3, True)


def test_completion_policy_never_is_run_once_and_that_is_said(kip, cluster, job_file):
    cluster()
    text = MANIFEST[: MANIFEST.index("  completionPolicy")] + "  completionPolicy: {type: Never}\n"
    code, _, err = kip("pull", "-f", job_file(text), "--set", f"image={IMAGE}", "--set", "name=a", **VALUES)
    assert (code, "completionPolicy Never" in err) == (0, True)


def test_the_sleeper_comes_from_the_image_of_the_settings(kip, cluster):
    found = cluster()
    created = []
    create = found.create
    found.create = lambda *arguments, **options: created.append(arguments[2]) or create(*arguments, **options)
    kip("pull", IMAGE, "--nodes", "node1", **VALUES)
    kip("pull", IMAGE, "--nodes", "node1", "--kip-image", "x/other:1", **VALUES)
    images = [pod["spec"]["initContainers"][0]["image"] for pod in created]
    assert images == ["registry.example/kip-sleep:1"] * 2 + ["x/other:1"] * 2  # a dry run before each


# Wrong use.


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (IMAGE, "-f", "x.yaml"),
        (IMAGE, "--nodes", "a", "--pods", "b=c"),
        (IMAGE, "--set", "image=x"),
        ("-f", "x.yaml", "--parallelism", "3"),
        ("-f", "nowhere.yaml"),
        (IMAGE, "--timeout", "soon"),
        ("registry.example/App:1",),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_way_out(kip, cluster, arguments):
    found = cluster()
    code, _, err = kip("pull", *arguments, **VALUES)
    assert (code, bool(err), found.calls) == (2, True, [])


def test_another_namespace_than_the_manifests_is_refused(kip, cluster, job_file):
    cluster()
    text = MANIFEST.replace("  name: APP_NAME", "  name: a\n  namespace: b").replace("APP_IMAGE", IMAGE)
    assert kip("pull", "-f", job_file(text), "-n", "c", **VALUES)[0] == 2


@pytest.mark.parametrize("given", ["replicas=3", "image"])
def test_only_image_and_name_can_be_set(kip, cluster, job_file, given):
    cluster()
    assert kip("pull", "-f", job_file(), "--set", given, **VALUES)[0] == 2


# Its parts.


def test_what_is_typed_becomes_a_job():
    job = from_typed(
        Typed(
            (IMAGE, OTHER, IMAGE),
            "b,a",
            parallelism=3,
            timeout=90.0,
            retries=0,
            deadline=1200.0,
            secrets=("s",),
        ),
        "ci",
    )
    assert (job.images, job.node_names, job.parallelism) == ((IMAGE, OTHER), ("b", "a"), 3)
    assert (job.timeout_seconds, job.backoff_limit, job.deadline_seconds) == (90, 0, 1200)
    assert (job.pull_secrets, job.namespace) == (("s",), "ci")


def test_the_same_images_for_the_same_nodes_are_the_same_job_again():
    first = from_typed(Typed((IMAGE, OTHER), "a,b", parallelism=3), "ci")
    assert first.key == from_typed(Typed((IMAGE, OTHER), "a,b"), "ci").key


def test_the_same_images_for_other_nodes_are_another_job():
    keys = {
        from_typed(typed, "ci").key
        for typed in (
            Typed((IMAGE,)),
            Typed((IMAGE,), "a"),
            Typed((IMAGE,), selector="pool=a"),
            Typed((IMAGE,), selector="pool=b"),
            Typed((IMAGE,), pods="app=a"),
        )
    }
    assert len(keys) == 5


def test_a_short_deadline_shortens_the_attempts_that_nobody_gave_a_time():
    assert from_typed(Typed((IMAGE,), deadline=120.0), "ci").timeout_seconds == 120


def test_selectors_are_read_as_kubectl_reads_them():
    found = selector_of("a=b,c==d,e!=f,g in (h,i), j notin (k),l,!m")
    assert found["matchLabels"] == {"a": "b", "c": "d"}
    assert [(one["key"], one["operator"], one.get("values")) for one in found["matchExpressions"]] == [
        ("e", "NotIn", ["f"]),
        ("g", "In", ["h", "i"]),
        ("j", "NotIn", ["k"]),
        ("l", "Exists", None),
        ("m", "DoesNotExist", None),
    ]


def test_two_ways_to_choose_nodes_exclude_each_other():
    with pytest.raises(UsageError):
        from_typed(Typed((IMAGE,), nodes="a", selector="b=c"), "ci")


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, ""), (12, "12 B"), (1234, "1.2 kB"), (2_500_000, "2.5 MB"), (7_500_000_000_000, "7500.0 GB")],
)
def test_amounts_are_readable(size, text):
    assert amount(size) == text


def test_the_rights_are_printed_without_nodes_where_they_are_named(kip):
    _, out, _ = kip("pull", "--print-rbac", "-n", "ci")
    kinds = [found["kind"] for found in yaml.safe_load_all(out)]
    assert kinds == ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
    _, out, _ = kip("pull", "--print-rbac", "-n", "ci", "--nodes", "a", "-o", "json")
    assert [found["kind"] for found in json.loads(out)["items"]] == ["ServiceAccount", "Role", "RoleBinding"]


def test_a_table_of_many_cells_has_a_row_for_each_image(kip, cluster):
    found = cluster({("node3", IMAGE): BAD})
    found.world.nodes += [f"node{number}" for number in range(3, 50)]
    _, out, _ = kip("pull", IMAGE, "--retries", "0", **VALUES)
    assert out.splitlines()[0].split()[:2] == ["IMAGE", "PULLED"]
    assert out.splitlines()[1].split()[:5] == [IMAGE, "48", "0", "1", "0"]


def test_a_manifest_whose_parts_are_no_mappings_is_told(kip, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text("apiVersion: apps.kruise.io/v1beta1\nkind: ImagePullJob\nmetadata: foo\nspec: [1]\n")
    code, _, err = kip("pull", "-f", str(job))
    assert (code, "metadata='foo': is no mapping of fields" in err) == (2, True)
