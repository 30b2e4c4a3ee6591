"""OpenShift as far as the local cluster can be it: templates, API group, and what its SCC does to pods."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from realcluster import SECURE, TOP, command, eventually, kubectl

TEMPLATES = TOP / "deploy/openshift"
NAMES = ("serviceaccount", "configmap", "app")
"""The templates in the order in which they are applied."""

FIRST_ID, IDS = 1000680000, 10000
"""The range of a project's uids and groups, as OpenShift deals them out."""

_IMITATION = Path(__file__).with_name("restricted-v2.yaml")


def process(template: Path, **parameters: str) -> list[dict[str, Any]]:
    """Return the objects of a template, as OpenShift's own code makes them."""
    pairs = [word for key, value in parameters.items() for word in ("-p", f"{key}={value}")]
    return json.loads(command("template-process", "-f", str(template), *pairs))["items"]


def install(namespace: str, **values: str) -> None:
    """Apply the three templates, each with those parameters that it has; unknown fields are refused."""
    for name in NAMES:
        apply_strictly(namespace, process(TEMPLATES / f"{name}.yaml", **of(name, values)))


def of(name: str, values: dict[str, str]) -> dict[str, str]:
    """Return the parameters that the template of this name has."""
    text = (TEMPLATES / f"{name}.yaml").read_text("utf-8")
    return {key: value for key, value in values.items() if f"\n- name: {key}\n" in text}


def apply_strictly(namespace: str, objects: list[dict[str, Any]]) -> None:
    """Apply objects; the API server refuses fields that it does not know."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("-n", namespace, "apply", "--validate=strict", "-f", "-", text=text)


@contextmanager
def openshift() -> Iterator[None]:
    """Let the cluster be taken for OpenShift. It changes the cluster for all, so such tests run alone."""
    try:
        kubectl("apply", "-f", str(_IMITATION))
        eventually(lambda: "route.openshift.io" in kubectl("api-versions"), "the API group of OpenShift")
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-f", str(_IMITATION))
        eventually(lambda: "route.openshift.io" not in kubectl("api-versions"), "Kubernetes as it was")


def make_project(namespace: str) -> None:
    """Give a namespace what a project of OpenShift has; from then on restricted-v2 holds there."""
    span = f"{FIRST_ID}/{IDS}"
    ranges = [f"openshift.io/sa.scc.{what}={span}" for what in ("uid-range", "supplemental-groups")]
    kubectl("annotate", "namespace", namespace, *ranges)
    kubectl("label", "namespace", namespace, "kip.dev/imitates=restricted-v2")
    # The policies are compiled a moment after they are there.
    eventually(lambda: "restricted-v2" in _answer_to_a_foreign_user(namespace), "the policies in force")


def _answer_to_a_foreign_user(namespace: str) -> str:
    """Return what is said to a pod that is fine but for its user."""
    container = {"name": "main", "image": "none.invalid/none", "securityContext": SECURE}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "foreign"},
        "spec": {"containers": [container]},
    }
    arguments = ["-n", namespace, "create", "--dry-run=server", "-f", "-"]
    # kubectl prints refusals on the other stream.
    return command("bash", "-c", 'kubectl "$@" 2>&1 || true', "bash", *arguments, text=json.dumps(pod))
