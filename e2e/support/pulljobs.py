"""Pull jobs as objects of the cluster: a keeper that runs those of one namespace, with its documented rights."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from realcluster import (
    KIP_RULES,
    TOP,
    Keeper,
    apply,
    eventually,
    get,
    hack,
    kubectl,
    make_keeper,
    registry,
)

CRDS = TOP / "deploy/kubernetes/pull-job-crds.yaml"
RIGHTS = [
    document
    for document in yaml.safe_load_all((TOP / "deploy/kubernetes/pull-jobs.yaml").read_text("utf-8"))
    if "rules" in document
]
ROLE = next(document["rules"] for document in RIGHTS if document["kind"] == "Role")
CLUSTER_ROLE = next(document for document in RIGHTS if document["kind"] == "ClusterRole")


def define() -> None:
    """Make the definitions, and wait until they are served."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")


def keeper_of_jobs(namespace: str, folder: Path, **values: str) -> Keeper:
    """Make a keeper that runs the jobs of the namespace, and keeps no image that matters."""
    subject = {"kind": "ServiceAccount", "name": "keeper", "namespace": namespace}
    name = f"kip-pull-jobs-{namespace}"
    group = "rbac.authorization.k8s.io"
    apply(
        {**CLUSTER_ROLE, "metadata": {"name": name}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    )
    settings = {
        "IMAGES": f"sleeper={registry()}/kip-sleep:dev",
        "NODE_SELECTOR": "no-such=node",
        "PULL_JOB_NAMESPACES": namespace,
        "HTTP_ADDRESS": "",
    }
    return make_keeper(namespace, [*KIP_RULES, *ROLE], folder, settings | values)


def forget_rights(namespace: str) -> None:
    """Remove what is not in the namespace."""
    name = f"kip-pull-jobs-{namespace}"
    kubectl("delete", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--ignore-not-found")


def seed(image: str, names: list[str], name: str = "app-1a2b3c") -> str:
    """Return the manifest that a pipeline makes of OpenKruise's example: names and image filled in."""
    text = (TOP / "docs/examples/image-pull-job.yaml").read_text("utf-8")
    listed = "\n".join(f"    - {node}" for node in names)
    return text.replace("APP_NAME", name).replace("APP_IMAGE", image).replace("    - NODE_NAME", listed)


