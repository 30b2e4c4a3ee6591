"""The Helm chart: the real helm, on the real cluster, under Pod Security `restricted`."""

import json

import pytest
import yaml
from helmcli import CHART, NAME, cluster_wide, helm, native, refusal, rights_to_nodes, run_helm
from realcluster import (
    apply,
    command,
    eventually,
    get,
    hack,
    kubectl,
    nodes,
    registry,
)

PATIENCE = "4m"


pytestmark = pytest.mark.usefixtures("helm_home")


@pytest.fixture(scope="session")
def images(cluster) -> dict[str, str]:
    """Name to reference of small images in the registry."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {image["name"]: image["reference"] for image in found if image["name"] != "debian"}


@pytest.fixture(scope="session")
def image(cluster) -> dict[str, str]:
    """The keeper's image by digest: its tag moves with every build, and nodes keep what they have."""
    described = command(
        "skopeo",
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        f"docker://{registry()}/kip:dev",
    )
    return {"repository": f"{registry()}/kip", "digest": described.strip()}


def install(namespace: str, values: dict, release: str = NAME, *arguments: str) -> str:
    patience = ("--wait", "--timeout", PATIENCE)
    return helm(
        "upgrade", "--install", release, str(CHART), "-n", namespace, *patience, *arguments, values=values
    )


def wait_until_complete(namespace: str, release: str = NAME) -> str:
    """Run `helm test`, and return what it says; helm prints what the test said as log lines of its own."""
    ended = run_helm("test", release, "-n", namespace, "--timeout", "5m")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def everything_in(namespace: str) -> set[str]:
    """Return all objects of the namespace, of every kind there is but Events, which pass by themselves.

    And what releases in it have made for the whole cluster.
    """
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    listed = ",".join(kind for kind in kinds if not kind.startswith(("events", "pods.metrics")))
    inside = kubectl("-n", namespace, "get", listed, "-o", "name", "--ignore-not-found").split()
    return {*inside, *cluster_wide(namespace)}


def cached(namespace: str, name: str = NAME) -> list[str]:
    """Return the images of the cache in their order."""
    found = get("daemonset", name, namespace=namespace)
    return [item["image"] for item in found["spec"]["template"]["spec"]["containers"]] if found else []


def keepers(namespace: str, name: str = NAME) -> set[tuple[str, int]]:
    """Return uid and restarts of the keepers' pods."""
    pods = get("pods", namespace=namespace, labels=f"app={name}")
    return {
        (pod["metadata"]["uid"], status["restartCount"])
        for pod in pods
        for status in pod["status"].get("containerStatuses", ())
    }


def as_in_the_readme(images: dict[str, str]) -> dict:
    text = (CHART / "README.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    values = yaml.safe_load(text)
    first, second, *_ = images.values()
    values["configMap"]["images"][0]["image"] = first
    values["configMap"]["images"][1] = second
    return values


def upstream(images: dict[str, str]) -> dict:
    """Every value that kubernetes-image-puller's chart has, as it has it."""
    return {
        "deploymentName": NAME,
        "deploymentAnnotations": {"reloader.example/auto": "true"},
        "serviceAccount": {"name": "k8s-image-puller"},
        "updateStrategy": {"type": "Recreate"},
        "priorityClassName": "",
        "configMap": {
            "name": "k8s-image-puller",
            "images": ";\n".join(f"{name}={image}" for name, image in images.items()) + ";\n",
            "cachingIntervalHours": 1,
            "cachingMemoryRequest": "10Mi",
            "cachingMemoryLimit": "20Mi",
            "cachingCpuRequest": ".01",
            "cachingCpuLimit": ".2",
            "daemonsetAnnotations": '{"team": "images"}',
            "nodeSelector": '{"kubernetes.io/os": "linux"}',
            "imagePullSecrets": "",
            "affinity": "{}",
            "tolerations": '[{"key":"none.example","operator":"Exists"}]',
        },
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
        "tolerations": [],
        "nodeSelector": {},
        "containerSecurityContext": {},
    }


def all_around(images: dict[str, str]) -> dict:
    """Two keepers, and all that a cluster without the Prometheus operator can take."""
    return {
        "replicas": 2,
        "updateStrategy": {"type": "RollingUpdate"},
        "podDisruptionBudget": {"enabled": True},
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        "service": {"enabled": True},
        "metrics": {"dashboard": {"enabled": True}},
        "logging": {"level": "debug"},
        "commonLabels": {"team": "images"},
        "commonAnnotations": {"team.example/contact": "images"},
        # With a ClusterRole and its binding; the definitions are for all, and other tests have them.
        "pullJobs": {"enabled": True, "crds": False},
        "configMap": {"images": list(images.values())},
    }


def by_environment(images: dict[str, str]) -> dict:
    """A keeper that may not read its ConfigMap, and listens nowhere."""
    return {
        "http": {"address": ""},
        "configMap": {"watch": False, "images": [f"{name}={image}" for name, image in images.items()]},
    }


def small(images: dict[str, str]) -> dict:
    """The least that anybody gave kubernetes-image-puller, and the sleeper's own image."""
    return {
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "configMap": {
            "kipImage": f"{registry()}/kip-sleep:dev",
            "images": ";".join(images.values()),
            "cachingCpuRequest": 0,
            "cachingCpuLimit": "0",
            "cachingMemoryRequest": "1Mi",
        },
    }


@pytest.mark.parametrize("values", [as_in_the_readme, upstream, native, all_around, by_environment, small])
def test_a_release_fills_the_nodes_and_leaves_nothing(namespace, image, images, values):
    before = everything_in(namespace)
    some = dict(list(images.items())[:3])
    given = values(some)
    install(namespace, {**given, "image": image}, "any-name")
    said = wait_until_complete(namespace, "any-name")
    (found,) = get("daemonsets", namespace=namespace)
    expected = min(len(some), len(given["configMap"]["images"])) if values is as_in_the_readme else len(some)

    assert "Complete: " in said
    assert len(cached(namespace, found["metadata"]["name"])) == expected
    assert found["status"]["numberReady"] == len(nodes())
    made = everything_in(namespace)
    assert any(name.startswith("lease.") for name in made)
    assert (made >= rights_to_nodes(namespace)) == ("pullJobs" in given)
    helm("uninstall", "any-name", "-n", namespace, "--wait")
    assert eventually(lambda: everything_in(namespace) <= before, "an empty namespace", seconds=90)


def test_the_readmes_commands_install_from_a_registry(namespace, image, images, tmp_path):
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    charts = f"oci://{registry()}/charts"
    helm("push", str(package), charts, "--plain-http")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["version"]
    notes = helm(
        "install", NAME, f"{charts}/kip", "--version", version, "--plain-http", "-n", namespace, "--wait",
        "--timeout", PATIENCE, values={**as_in_the_readme(images), "image": image},
    )  # fmt: skip
    assert "Complete: 2 images" in wait_until_complete(namespace)
    # The two commands of the notes.
    assert f"helm test {NAME} -n {namespace}" in notes
    shown = f"-n {namespace} exec deployment/{NAME} -- kip status"
    assert f"kubectl {shown}" in notes
    assert "Complete: " in kubectl(*shown.split())


def test_edits_upgrades_and_rollbacks_take_effect_without_a_restart(namespace, image, images):
    first, second, third, *_ = images.values()
    install(namespace, {"image": image, "configMap": {"images": [first]}})
    eventually(lambda: cached(namespace) == [first], "the first list")
    before = keepers(namespace)

    install(namespace, {"image": image, "configMap": {"images": [second, first]}})
    eventually(lambda: cached(namespace) == [second, first], "the upgrade's list", seconds=20)
    helm("rollback", NAME, "1", "-n", namespace)
    eventually(lambda: cached(namespace) == [first], "the first list again", seconds=20)
    patch = json.dumps({"data": {"IMAGES": third}})
    kubectl("-n", namespace, "patch", "configmap", "k8s-image-puller", "--type=merge", "-p", patch)
    eventually(lambda: cached(namespace) == [third], "the edit's list", seconds=20)
    install(namespace, {"image": image, "configMap": {"images": [second]}}, NAME, "--force-conflicts")
    eventually(lambda: cached(namespace) == [second], "the list of the upgrade over the edit", seconds=20)
    assert keepers(namespace) == before


def test_helm_waits_for_the_images_where_that_is_asked_for(namespace, image, images):
    values = {"image": image, "configMap": {"images": list(images.values())[:2], "readyWhen": "complete"}}
    install(namespace, values)
    (found,) = get("daemonsets", namespace=namespace)
    assert (found["status"]["numberReady"], len(cached(namespace))) == (len(nodes()), 2)


def test_helm_waits_in_vain_for_an_image_that_is_not_there(namespace, image):
    settings = {"images": [f"{registry()}/demo/not-there:1"], "readyWhen": "complete"}
    patience = ("--wait", "--timeout", "20s")
    install_it = ("install", NAME, str(CHART), "-n", namespace, *patience)
    ended = run_helm(*install_it, values={"image": image, "configMap": settings})
    assert (ended.returncode, "kubernetes-image-puller" in ended.stderr) == (1, True)


def test_what_the_keeper_reads_at_its_start_restarts_it(namespace, image, images):
    values = {"image": image, "configMap": {"images": list(images.values())[:1]}}
    install(namespace, values)
    before = keepers(namespace)
    install(namespace, {**values, "logging": {"level": "debug"}})
    eventually(lambda: len(now := keepers(namespace)) == 1 and not now & before, "another keeper")


def test_two_releases_share_a_namespace(namespace, image, images):
    first, second, *_ = images.values()
    install(namespace, {"image": image, "configMap": {"images": [first]}}, "one")
    two = {"image": image, "configMap": {"images": [second]}}
    said = refusal("install", "two", str(CHART), "-n", namespace, values=two)
    assert "belongs to the release one" in said
    assert "fullnameOverride=two" in said
    install(namespace, {**two, "fullnameOverride": "two"}, "two")
    wait_until_complete(namespace, "one")
    wait_until_complete(namespace, "two")
    assert (cached(namespace), cached(namespace, "two")) == ([first], [second])
    assert {item["metadata"]["name"] for item in get("leases", namespace=namespace)} == {NAME, "two"}

    helm("uninstall", "two", "-n", namespace, "--wait")
    eventually(lambda: not cached(namespace, "two"), "the second cache gone")
    assert "Complete: " in wait_until_complete(namespace, "one")


def test_an_existing_account_and_configmap_are_used(namespace, image, images):
    first = next(iter(images.values()))
    kubectl("-n", namespace, "create", "serviceaccount", "account")
    data = {"IMAGES": first, "KIP_IMAGE": f"{registry()}/kip-sleep:dev"}
    metadata = {"name": "settings", "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    values = {
        "image": image,
        "serviceAccount": {"create": False, "name": "account"},
        "configMap": {"create": False, "name": "settings"},
    }
    install(namespace, values)
    assert "Complete: 1 images" in wait_until_complete(namespace)
    helm("uninstall", NAME, "-n", namespace, "--wait")
    left = {
        name for name in everything_in(namespace) if name in {"serviceaccount/account", "configmap/settings"}
    }
    assert len(left) == 2


def test_a_test_that_is_not_passed_says_what_is_missing(namespace, image, images):
    values = {
        "image": image,
        "configMap": {"images": [f"{registry()}/demo/not-there:1"]},
        "tests": {"timeoutSeconds": 15},
    }
    install(namespace, values)
    ended = run_helm("test", NAME, "-n", namespace)
    assert ended.returncode
    assert "Not complete" in ended.stdout + ended.stderr


def test_the_notes_count_the_nodes_for_the_quota(namespace, image):
    values = {"image": image, "notes": {"countNodes": True}, "configMap": {"images": "a=b:1;c=d:1"}}
    said = helm("install", NAME, str(CHART), "-n", namespace, "--dry-run=server", values=values)
    count = len(get("nodes"))
    assert f"for 2 images at 20Mi and .2 CPU: {2 * 20 * count}Mi and" in said
    assert f"on {count} nodes" in said
