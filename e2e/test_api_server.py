"""The golden manifests on the real API server: valid, stored as rendered, admitted under `restricted`."""

import json

import pytest
import yaml
from realcluster import TOP, kubectl

GOLDEN = sorted((TOP / "tests/golden").glob("*.yaml"))


def in_namespace(path, namespace: str) -> dict:
    found = yaml.safe_load(path.read_text("utf-8"))
    found["metadata"]["namespace"] = namespace
    return found


def server_says(manifest: dict) -> dict:
    """Return what the API server would store; a refusal fails the test."""
    text = json.dumps(manifest)
    answer = kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", text=text)
    return json.loads(answer)


def without_empty(value):
    """Return the value as the API server stores it: without empty fields, quantities in their usual form."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return {".05": "50m", ".2": "200m"}.get(value, value) if isinstance(value, str) else value


def only(found, wanted):
    """Return of `found` what `wanted` has a word on."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: only(found.get(key), item) for key, item in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [only(*pair) for pair in zip(found, wanted, strict=True)]
    return found


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_manifest_is_stored_as_it_was_rendered(namespace, path):
    manifest = without_empty(in_namespace(path, namespace))
    assert only(server_says(manifest), manifest) == manifest


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_its_pods_are_admitted_under_pod_security_restricted(namespace, path):
    template = in_namespace(path, namespace)["spec"]["template"]
    template["spec"].pop("priorityClassName", None)  # a class of that name need not exist here
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": namespace}}
    assert server_says(pod | {"spec": template["spec"]})["metadata"]["name"] == "one"
