"""Pull jobs as objects of the cluster, and a keeper that runs those of a namespace with documented rights."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from realcluster import KIP_RULES, TOP, Keeper, apply, eventually, get, kubectl, make_keeper, registry

CRDS = TOP / "deploy/kubernetes/pull-job-crds.yaml"
EXAMPLE = TOP / "docs/examples/image-pull-job.yaml"
RIGHTS = {
    document["kind"]: document["rules"]
    for document in yaml.safe_load_all((TOP / "deploy/kubernetes/pull-jobs.yaml").read_text("utf-8"))
    if "rules" in document
}
RBAC = "rbac.authorization.k8s.io"
LABEL = "kip.dev/pull-job"


def define() -> None:
    """Make the definitions, and wait until they are served."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")


def keeper_of_jobs(namespace: str, folder: Path, **values: str) -> Keeper:
    """Make a keeper that runs the jobs of the namespace, and keeps images on no node."""
    name = rights_of(namespace)
    apply(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": RIGHTS["ClusterRole"],
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "keeper", "namespace": namespace}],
        },
    )
    settings = {
        "IMAGES": f"sleeper={registry()}/kip-sleep:dev",
        "NODE_SELECTOR": "no-such=node",
        "PULL_JOB_NAMESPACES": namespace,
    }
    return make_keeper(namespace, [*KIP_RULES, *RIGHTS["Role"]], folder, settings | values)


def rights_of(namespace: str) -> str:
    """Return the name of the rights that are not in the namespace."""
    return f"kip-pull-jobs-{namespace}"


def forget_rights(namespace: str) -> None:
    """Remove what is not in the namespace."""
    name = rights_of(namespace)
    kubectl("delete", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--ignore-not-found")


def filled_in(image: str, names: list[str], name: str) -> str:
    """Return OpenKruise's example with names and image filled in, and nothing else."""
    text = EXAMPLE.read_text("utf-8").replace("APP_NAME", name).replace("APP_IMAGE", image)
    return text.replace("    - NODE_NAME", "\n".join(f"    - {node}" for node in names))


class Jobs:
    """The jobs of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def apply(self, name: str, kind: str = "ImagePullJob", version: str = "v1beta1", **spec: Any) -> None:
        """Apply one, as a person does."""
        ended = self.try_to(name, kind, version, **spec)
        assert ended.returncode == 0, ended.stderr

    def try_to(
        self, name: str, kind: str = "ImagePullJob", version: str = "v1beta1", **spec: Any
    ) -> subprocess.CompletedProcess[str]:
        """Try to apply one; return how that ended."""
        manifest = {
            "apiVersion": f"apps.kruise.io/{version}",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        return subprocess.run(
            ["kubectl", "-n", self.namespace, "apply", "-f", "-"],
            input=json.dumps(manifest),
            capture_output=True,
            text=True,
            check=False,
        )

    def get(self, name: str, kind: str = "imagepulljobs") -> dict[str, Any]:
        """Return one."""
        return get(f"{kind}.apps.kruise.io", name, namespace=self.namespace)

    def status(self, name: str, kind: str = "imagepulljobs") -> dict[str, Any]:
        """Return its status."""
        return (self.get(name, kind) or {}).get("status", {})

    def ended(self, name: str, kind: str = "imagepulljobs", *, generation: int = 0) -> dict[str, Any]:
        """Wait for its end; return its status."""

        def over() -> dict[str, Any]:
            status = self.status(name, kind)
            newest = status.get("observedGeneration", 0) >= generation
            return status if "completionTime" in status and newest else {}

        return eventually(over, f"the end of {name}", seconds=180)

    def pods(self, name: str = "") -> list[dict[str, Any]]:
        """Return the pods of a job, or of all."""
        found = get("pods", namespace=self.namespace, labels=LABEL)
        return [
            pod
            for pod in found
            if not name or pod["metadata"]["annotations"]["kip.dev/pull-job-name"] == name
        ]

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and note of the Events on a job."""
        found = get("events", namespace=self.namespace)
        return [
            (event["reason"], event["message"])
            for event in found
            if event["involvedObject"]["name"] == name and event["reason"].startswith("PullImage")
        ]


def conditions(status: dict[str, Any]) -> dict[str, str]:
    """Return condition to value."""
    return {found["type"]: found["status"] for found in status["conditions"]}
