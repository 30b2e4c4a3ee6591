"""Pull jobs by the chart: a keeper in the cluster runs one, and an uninstall leaves definitions and jobs."""

import pytest
import yaml
from helmcli import cluster_wide, rights_to_nodes
from images import fresh_image
from pulljobs import Jobs, conditions
from realcluster import TOP, command, eventually, get, images_on, kubectl, nodes, registry

pytestmark = pytest.mark.alone

CHART = str(TOP / "deploy/helm")
DEFINITION = "imagepulljobs.apps.kruise.io"


@pytest.fixture
def values(cluster, namespace, tmp_path, monkeypatch):
    """Values for a keeper of the image as it is now; its tag moves with every build."""
    for key in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{key}_HOME", str(tmp_path / key))
    kubectl("delete", "crd", DEFINITION, "imagelistpulljobs.apps.kruise.io", "--ignore-not-found")
    yield {
        "image": {"repository": f"{registry()}/kip", "digest": digest()},
        "configMap": {
            "images": f"sleeper={registry()}/kip-sleep:dev",
            "kipImage": f"{registry()}/kip-sleep:dev",
        },
        "pullJobs": {"enabled": True},
    }

    helm("uninstall", "kip", "-n", namespace, "--ignore-not-found")


def digest() -> str:
    asked = ("--tls-verify=false", "--format", "{{.Digest}}", f"docker://{registry()}/kip:dev")
    return command("skopeo", "inspect", *asked).strip()


def helm(*arguments: str, values: dict | None = None) -> str:
    given = ("--values", "-") if values else ()
    return command("helm", *arguments, *given, text=yaml.safe_dump(values) if values else None)


def test_the_chart_runs_jobs_and_its_uninstall_leaves_them(values, namespace):
    jobs, image = Jobs(namespace), fresh_image()
    install = ("upgrade", "--install", "kip", CHART, "-n", namespace, "--wait", "--timeout", "4m")
    helm(*install, values=values)
    jobs.apply("job", image=image, selector={"names": [nodes()[0]]})
    assert conditions(jobs.ended("job")) == {"Complete": "True", "Failed": "False"}
    assert image in images_on(nodes()[0])
    before = {f"Namespace/{namespace}"}
    assert cluster_wide(namespace) == before | rights_to_nodes(namespace)
    helm("uninstall", "kip", "-n", namespace)
    assert jobs.get("job")["status"]["succeeded"] == 1
    assert cluster_wide(namespace) == before
    helm(*install, values=values)
    assert jobs.get("job")["status"]["succeeded"] == 1


def as_people_wrote_it() -> tuple:
    """Return what of the definition changes when somebody else than the API server writes to it."""
    metadata = get("crd", DEFINITION)["metadata"]
    return tuple(metadata.get(key) for key in ("uid", "generation", "labels", "annotations"))


def test_definitions_of_openkruise_are_left_as_they_are(values, namespace):
    theirs = yaml.safe_load(
        (TOP / "deploy/kubernetes/pull-job-crds.yaml").read_text("utf-8").split("\n---\n")[1]
    )
    del theirs["metadata"]["labels"]
    kubectl("apply", "-f", "-", text=yaml.safe_dump(theirs))
    try:
        # Until it is served the API server itself writes to it.
        kubectl("wait", "--for=condition=Established", f"crd/{DEFINITION}", "--timeout=60s")
        before = as_people_wrote_it()
        helm("install", "kip", CHART, "-n", namespace, values=values)
        assert as_people_wrote_it() == before
        jobs = Jobs(namespace)
        jobs.apply("job", image=fresh_image())

        def said() -> bool:
            log = kubectl("-n", namespace, "logs", "deployment/kubernetes-image-puller", check=False)
            return "pull_jobs_not_run" in log

        eventually(said, "that it stands aside", seconds=120)
        assert jobs.status("job") == {}
    finally:
        kubectl("delete", "crd", DEFINITION, "imagelistpulljobs.apps.kruise.io", "--ignore-not-found")
