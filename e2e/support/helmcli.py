"""helm as people type it, and kip's chart."""

import json
import subprocess

import yaml
from realcluster import TOP, kubectl, registry

CHART = TOP / "deploy/helm"
NAME = "kubernetes-image-puller"


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


def cluster_wide(namespace: str) -> set[str]:
    """Return the objects that belong to no namespace and to a release in this one, as `Kind/name`.

    By Helm's annotation, or by a name that has the namespace in it. The label app.kubernetes.io/instance
    would not do, as tests that run beside have releases of the same name.
    """
    kinds = kubectl("api-resources", "--namespaced=false", "--verbs=list", "-o", "name").split()
    # No chart makes nodes, nor what is measured of them; to ask for the other kind is deprecated.
    listed = ",".join(kind for kind in kinds if not kind.startswith(("nodes", "componentstatuses")))
    found = json.loads(kubectl("get", listed, "-o", "json", "--ignore-not-found") or '{"items": []}')["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}"
        for item in found
        if _made_in(namespace, item["metadata"]) and not _kept(item)
    }


def _made_in(namespace: str, metadata: dict) -> bool:
    made_in = metadata.get("annotations", {}).get("meta.helm.sh/release-namespace")
    return made_in == namespace or namespace in metadata["name"]


def _kept(item: dict) -> bool:
    """Whether Helm leaves it by design: with a definition every job of every namespace would be deleted."""
    policy = item["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
    return item["kind"] == "CustomResourceDefinition" and policy == "keep"


def rights_to_nodes(namespace: str) -> set[str]:
    """Return what a release with pull jobs makes for the whole cluster, as `cluster_wide` has it."""
    name = f"{namespace}-k8s-image-puller-pull-jobs"
    return {f"ClusterRole/{name}", f"ClusterRoleBinding/{name}"}


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
