"""helm as people type it, and kip's chart."""

import subprocess

import yaml
from realcluster import TOP, registry

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
