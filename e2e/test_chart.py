"""What the chart renders and refuses, by the real helm; nothing is installed."""

import json
from pathlib import Path

import pytest
import yaml
from helmcli import CHART, NAME, helm, native, refusal, rendered, run_helm
from realcluster import KIP_RULES, apply

pytestmark = pytest.mark.usefixtures("cluster", "helm_home")


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


COUNT_BESIDE_A_CONFIGMAP = {
    "daemonsetName": "theirs",
    "namespace": "theirs",
    "imagePullSecrets": "theirs",
    "insecureRegistries": "registry.example:5000",
}
"""Values that still count with configMap.create: false, and another value for each."""

COUNT_NOT = {
    "images": "a=b:1",
    "cachingIntervalHours": 7,
    "cachingMemoryRequest": "30Mi",
    "cachingMemoryLimit": "5Mi",
    "cachingCpuRequest": 1,
    "cachingCpuLimit": 2,
    "daemonsetAnnotations": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"operator": "Exists"}],
    "kipImage": "r/sleep:1",
    "imagePullPolicy": "Never",
    "maxSurge": 1,
    "refresh": "never",
    "platform": "openshift",
    "readyWhen": "complete",
    "cachingPriorityClass": "high",
}
"""Those that do not, and other values for all of them."""


def beside_a_configmap(**settings) -> dict:
    """Values for a ConfigMap that is there, with all that could look at `settings`."""
    return {
        "image": {"repository": "r/kip"},
        "rbac": {"readPullSecrets": True},
        "networkPolicy": {"enabled": True},
        "configMap": {"create": False, "name": "settings", **settings},
    }


def test_a_value_of_the_configmap_counts_beside_an_existing_one_where_the_readme_says_so(cluster):
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["configMap"]
    assert {*COUNT_BESIDE_A_CONFIGMAP, *COUNT_NOT, "name", "create", "watch"} == set(values)
    rows = (CHART / "README.md").read_text("utf-8").splitlines()
    (said,) = (row for row in rows if row.startswith("| `configMap.create` |"))

    default = rendered(beside_a_configmap())
    assert rendered(beside_a_configmap(**COUNT_NOT)) == default
    for name, value in COUNT_BESIDE_A_CONFIGMAP.items():
        assert rendered(beside_a_configmap(**{name: value})) != default
        assert name in said


def warnings_beside(namespace: str, data: dict[str, str], settings: dict[str, str]) -> list[str]:
    """Return what the notes warn of where there is a ConfigMap with these data."""
    metadata = {"name": "settings", "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    given = ("install", "release", str(CHART), "-n", namespace, "--dry-run=server")
    notes = helm(*given, values=beside_a_configmap(**settings))
    return [line for line in notes.splitlines() if line.startswith("WARNING: ")]


@pytest.mark.parametrize(
    ("key", "value", "ours"), [("DAEMONSET_NAME", "daemonsetName", NAME), ("NAMESPACE", "namespace", "")]
)
def test_the_notes_warn_of_an_existing_configmap_with_another_cache(namespace, key, value, ours):
    (said,) = warnings_beside(namespace, {"IMAGES": "a=b:1", key: "theirs"}, {})
    assert f"configMap.{value}: the ConfigMap settings has {key} theirs, but" in said
    assert f"are for {ours or namespace}. Set configMap.{value}=theirs, or take {key} out" in said


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ({}, {}),
        ({"DAEMONSET_NAME": "", "NAMESPACE": " "}, {}),
        ({"DAEMONSET_NAME": "theirs"}, {"daemonsetName": "theirs"}),
        ({"NAMESPACE": "theirs"}, {"namespace": "theirs"}),
    ],
    ids=["lacks the keys", "has them blank", "same name", "same namespace"],
)
def test_an_existing_configmap_that_agrees_is_no_reason_to_warn(namespace, data, settings):
    assert warnings_beside(namespace, {"IMAGES": "a=b:1", **data}, settings) == []


def test_the_notes_count_the_net_for_a_quota(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": {"images": "a=b:1;c=d:1"}}
    notes = helm("install", "release", str(CHART), "--dry-run=client", values=values)
    assert "40Mi and 0.4 CPU on each node; while a change is rolled, as much again" in notes
    assert "and, while an image fails, as much again on all nodes (the net)." in notes


def test_a_yaml_value_in_the_place_of_a_text_is_no_reason_for_helm_to_warn(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": native({"a": "b"})["configMap"]}
    ended = run_helm("template", "release", str(CHART), values=values)
    assert ended.stderr == ""


def test_the_roles_rights_are_those_of_the_plain_manifests(cluster):
    role = rendered({"image": {"repository": "r/kip"}})["Role", "k8s-image-puller"]
    assert sorted(role["rules"], key=json.dumps) == sorted(KIP_RULES, key=json.dumps)


def test_pull_secrets_are_readable_by_name_only_where_that_is_asked_for(cluster):
    values = {"image": {"repository": "r/kip"}, "configMap": {"imagePullSecrets": "a; b"}}
    name = ("Role", "k8s-image-puller-pull-secrets")
    assert name not in rendered(values)
    (rule,) = rendered({**values, "rbac": {"readPullSecrets": True}})[name]["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["a", "b"], ["get"])


def policies_of(pod: str) -> list[dict]:
    """Return the specs of the NetworkPolicies for that pod of the chart: the keeper's, or the test's."""
    around = {"enabled": True, "egressPorts": [8443], "extraEgress": [{"ports": [{"port": 3128}]}]}
    found = rendered({"image": {"repository": "r/kip"}, "networkPolicy": around})
    where = {"keeper": found["Deployment", NAME]["spec"]["template"], "test": found["Pod", f"{NAME}-test"]}
    labels = where[pod]["metadata"]["labels"].items()
    policies = [item["spec"] for (kind, _), item in found.items() if kind == "NetworkPolicy"]
    wanted = [spec["podSelector"].get("matchLabels") for spec in policies]
    return [spec for spec, some in zip(policies, wanted, strict=True) if some and some.items() <= labels]


@pytest.mark.parametrize("pod", ["keeper", "test"])
def test_keeper_and_test_reach_names_and_api_server_where_all_else_is_denied(cluster, pod):
    (policy,) = policies_of(pod)
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    names, api_server, extra = policy["egress"]
    # 5353 is where OpenShift's DNS pods listen; a policy sees the port behind the Service.
    both = {(port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")}
    assert {(item["port"], item["protocol"]) for item in names["ports"]} == both
    assert api_server == {"ports": [{"port": 8443, "protocol": "TCP"}]}
    assert extra == {"ports": [{"port": 3128}]}


def test_nobody_reaches_the_test(cluster):
    (policy,) = policies_of("test")
    assert not policy.get("ingress")


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


NAMED = ("name", "namespace", "value", "serviceAccountName", "priorityClassName")
MAPPINGS = ("labels", "matchLabels", "selector", "annotations", "data")


def texts(node):
    """Yield what the API server takes as text only: names, namespaces, labels, values of variables."""
    if isinstance(node, dict):
        yield from (node[key] for key in NAMED if not isinstance(node.get(key, {}), dict | list))
        yield from node.get("resourceNames", ())
        for key in MAPPINGS:
            yield from (
                value for value in (node.get(key) or {}).values() if not isinstance(value, dict | list)
            )
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from texts(part)


@pytest.mark.parametrize("odd", ["1234", "true", "007", "null"])
def test_names_that_look_like_something_else_stay_texts(cluster, odd):
    values = {
        "image": {"repository": "r/kip"},
        "deploymentName": odd,
        "priorityClassName": odd,
        "imagePullSecrets": [odd],
        "serviceAccount": {"name": odd},
        "configMap": {"name": odd, "namespace": odd, "daemonsetName": odd, "imagePullSecrets": odd},
        "rbac": {"readPullSecrets": True},
        "metrics": {key: {"enabled": True} for key in ("serviceMonitor", "dashboard")},
        "networkPolicy": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
        "pullJobs": {"enabled": True, "namespaces": [odd]},
    }
    for watch in (True, False):
        values["configMap"]["watch"] = watch
        made = list(yaml.safe_load_all(helm("template", odd, str(CHART), "-n", odd, values=values)))
        assert len({item["kind"] for item in made if item}) >= 12
        assert {type(text) for item in made if item for text in texts(item)} == {str}
