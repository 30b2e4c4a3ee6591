"""The Helm chart: the real helm, on the real cluster, under Pod Security `restricted`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from realcluster import (
    KIP_RULES,
    TOP,
    apply,
    command,
    eventually,
    get,
    hack,
    kubectl,
    nodes,
    registry,
)

CHART = TOP / "deploy/helm"
NAME = "kubernetes-image-puller"
PATIENCE = "4m"


@pytest.fixture(scope="session", autouse=True)
def helm_home(tmp_path_factory):
    """Folders of helm's own, so that the machine's stay as they are."""
    home = tmp_path_factory.mktemp("helm")
    for key in ("CACHE", "CONFIG", "DATA"):
        os.environ[f"HELM_{key}_HOME"] = str(home / key.lower())


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


def run_helm(*arguments: str, values: dict | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, with values as a file on its standard input."""
    given = () if values is None else ("--values", "-")
    text = yaml.safe_dump(values or {})
    return subprocess.run(
        ["helm", *arguments, *given], input=text, capture_output=True, text=True, check=False
    )


def helm(*arguments: str, values: dict | None = None) -> str:
    """Run helm, which must do it, and return what it prints."""
    ended = run_helm(*arguments, values=values)
    assert ended.returncode == 0, f"helm {' '.join(arguments)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def refusal(*arguments: str, values: dict) -> str:
    """Return what helm says when it refuses."""
    ended = run_helm(*arguments, values=values)
    assert ended.returncode, ended.stdout
    return ended.stderr


def rendered(values: dict, *arguments: str) -> dict[tuple[str, str], dict]:
    """Return the objects of the chart by kind and name."""
    found = yaml.safe_load_all(helm("template", "release", str(CHART), *arguments, values=values))
    return {(item["kind"], item["metadata"]["name"]): item for item in found if item}


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
    """Return all objects of the namespace, of every kind there is but Events, which pass by themselves."""
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    listed = ",".join(kind for kind in kinds if not kind.startswith(("events", "pods.metrics")))
    return set(kubectl("-n", namespace, "get", listed, "-o", "name", "--ignore-not-found").split())


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


def native(images: dict[str, str]) -> dict:
    """Values as YAML wherever upstream takes a text, and other names."""
    return {
        "fullnameOverride": "mine",
        "configMap": {
            "images": [{"name": name, "image": image} for name, image in images.items()],
            "cachingIntervalHours": "30m",
            "cachingMemoryLimit": 20971520,
            "cachingCpuRequest": 0.01,
            "daemonsetAnnotations": {"team": "images"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "imagePullSecrets": [{"name": "not-there"}],
            "insecureRegistries": [registry()],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}
                        ]
                    }
                }
            },
            "tolerations": [{"operator": "Exists", "key": "none.example"}],
            "maxSurge": 1,
            "refresh": "never",
            "platform": "kubernetes",
            "imagePullPolicy": "IfNotPresent",
        },
        "rbac": {"readPullSecrets": True},
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
    assert any(name.startswith("lease.") for name in everything_in(namespace))
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


def test_the_chart_is_lint_clean(cluster):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"configMap": {"imagez": "a=b"}}, "imagez"),
        ({"replica": 2}, "replica"),
        ({"configMap": {"tolerations": [{"effects": "NoSchedule"}]}}, "effects"),
        ({"affinity": {"nodeAfinity": {}}}, "nodeAfinity"),
        ({"containerSecurityContext": {"runAsRot": True}}, "runAsRot"),
        ({"metrics": {"serviceMonitor": {"enable": True}}}, "enable"),
        ({"configMap": {"images": [{"name": "a", "img": "b"}]}}, "img"),
        ({"replicas": "two"}, "/replicas"),
        ({"configMap": {"cachingMemoryLimit": "20 MB"}}, "/configMap/cachingMemoryLimit"),
        ({"configMap": {"cachingIntervalHours": "often"}}, "/configMap/cachingIntervalHours"),
        ({"configMap": {"nodeSelector": {"gpu": True}}}, "/configMap/nodeSelector/gpu"),
        ({"configMap": {"images": {"a": "b"}}}, "/configMap/images"),
        ({"configMap": {"maxSurge": "0"}}, "/configMap/maxSurge"),
        ({"configMap": {"platform": "rancher"}}, "/configMap/platform"),
        ({"deploymentName": "Not_A_Name"}, "/deploymentName"),
        ({"configMap": {"cachingMemoryRequest": "30Mi"}}, "configMap.cachingMemoryRequest"),
        ({"http": {"address": ""}, "service": {"enabled": True}}, "http.address"),
        ({"image": {"repository": ""}}, "image.repository"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_a_misspelt_or_ill_typed_value_is_refused_by_name(cluster, values, named):
    said = refusal("template", "release", str(CHART), values={"image": {"repository": "r/kip"}, **values})
    assert named in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 0}, "replicas: 0 removes the cache"),
        ({}, "configMap.images: this is kubernetes-image-puller's example"),
        (
            {"configMap": {"cachingMemoryLimit": "5Mi", "cachingMemoryRequest": "1Mi"}},
            "cachingMemoryLimit: 5Mi",
        ),
        ({"configMap": {"namespace": "other"}}, "kubectl -n other delete daemonset,lease"),
        ({"tolerations": [{"operator": "Exists"}]}, "set configMap.tolerations"),
        ({"nodeSelector": {"a": "b"}}, "set configMap.nodeSelector"),
        ({"podDisruptionBudget": {"enabled": True}}, "protects nothing"),
        ({"image": {"repository": "r/kip", "tag": "next"}}, "image.tag: next moves"),
        ({"configMap": {"imagePullSecrets": "a"}}, "rbac.readPullSecrets"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_the_notes_warn(cluster, values, said):
    given = {"image": {"repository": "r/kip"}, **values}
    notes = helm("install", "release", str(CHART), "--dry-run=client", values=given)
    assert any(said in line for line in notes.splitlines() if line.startswith("WARNING: "))


def test_values_that_are_well_say_no_warning(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": {"images": "a=b:1"}}
    assert "WARNING" not in helm("install", "release", str(CHART), "--dry-run=client", values=values)


def test_a_yaml_value_in_the_place_of_a_text_is_no_reason_for_helm_to_warn(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": native({"a": "b"})["configMap"]}
    ended = run_helm("template", "release", str(CHART), values=values)
    assert ended.stderr == ""


def test_the_roles_rights_are_those_of_the_plain_manifests(cluster):
    role = rendered({"image": {"repository": "r/kip"}})["Role", "k8s-image-puller"]
    events = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}
    granted, plain = (
        sorted((rule for rule in rules if rule != events), key=json.dumps)
        for rules in (role["rules"], KIP_RULES)
    )
    assert granted == plain


def test_pull_secrets_are_readable_by_name_only_where_that_is_asked_for(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": {"imagePullSecrets": "a; b"}}
    name = ("Role", "k8s-image-puller-pull-secrets")
    assert name not in rendered(values)
    (rule,) = rendered({**values, "rbac": {"readPullSecrets": True}})[name]["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["a", "b"], ["get"])


def test_monitoring_objects_carry_the_labels_they_are_selected_by(cluster):
    switched_on = {"enabled": True, "labels": {"release": "prometheus"}}
    found = rendered(
        {
            "image": {"repository": "r/kip"},
            "metrics": {"serviceMonitor": switched_on, "prometheusRule": switched_on},
        }
    )
    assert found["ServiceMonitor", NAME]["metadata"]["labels"]["release"] == "prometheus"
    assert found["PrometheusRule", NAME]["metadata"]["labels"]["release"] == "prometheus"
    rules = yaml.safe_load((CHART / "rules/kip.yaml").read_text("utf-8"))
    assert found["PrometheusRule", NAME]["spec"] == rules
    service = found["Service", NAME]
    selector = found["ServiceMonitor", NAME]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()


def test_the_chart_works_as_part_of_another(cluster, tmp_path):
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts/kip").symlink_to(CHART)
    chart = {"apiVersion": "v2", "name": "parent", "version": "0.1.0"}
    dependency = {"name": "kip", "version": "0.1.0", "condition": "kip.enabled"}
    Path(parent, "Chart.yaml").write_text(yaml.safe_dump({**chart, "dependencies": [dependency]}), "utf-8")
    values = {"global": {"a": 1}, "kip": {"enabled": True, "image": {"repository": "r/kip"}}}
    assert "kind: Deployment" in helm("template", "release", str(parent), values=values)
