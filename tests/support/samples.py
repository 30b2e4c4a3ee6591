"""Values that tests of several rooms start from."""

from copy import deepcopy

from kip.config.settings import Platform, Settings, read_settings
from kip.core.render.daemonset import Owner, render
from kip.core.rollout.cache_pods import CachePod

COMPLETE = {
    "desiredNumberScheduled": 3,
    "currentNumberScheduled": 3,
    "updatedNumberScheduled": 3,
    "numberReady": 3,
    "numberAvailable": 3,
    "observedGeneration": 99,
}
"""The status of a DaemonSet whose three nodes each run its newest pod."""

OWNER = Owner("kubernetes-image-puller", "7b0e7a5e-5d0c-4f4c-9a58-2a0f8e1c4d11")
IMAGES = "tools=registry.example/tools:1.4.2;ide=registry.example/ide:next"


def settings(images: str = IMAGES, **values: str) -> Settings:
    """Return settings as a keeper in the namespace `images` would read them."""
    return read_settings({"IMAGES": images, **values}, pod_namespace="images").settings


def manifest(images: str = IMAGES, *, owner: Owner | None = OWNER, **values: str) -> dict:
    """Return the rendered DaemonSet of these settings."""
    return render(settings(images, **values), platform=Platform.KUBERNETES, owner=owner)


def stored(wanted: dict, *, manager: str = "kip", **metadata: object) -> dict:
    """Return a DaemonSet as the API server would hand it out after `manager` had created it."""
    found = deepcopy(wanted)
    annotations = found["metadata"].get("annotations", {})
    found["metadata"] |= {
        "uid": "11111111-2222-3333-4444-555555555555",
        "generation": 1,
        "resourceVersion": "1000",
        "creationTimestamp": "2026-11-21T08:00:00Z",
        "managedFields": [
            {
                "manager": manager,
                "operation": "Update",
                "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{key}": {} for key in annotations}}},
            }
        ],
    }
    found["metadata"] |= metadata
    return found


def upstream_cache(name: str = "kubernetes-image-puller", owner: Owner | None = OWNER) -> dict:
    """Return a cache as kubernetes-image-puller leaves it: its labels and owner, no trace of kip."""
    labels = {"test": "daemonset-test", "app.kubernetes.io/name": "image-puller"}
    metadata: dict = {"name": name, "namespace": "images"}
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name, "uid": owner.uid}
        ]
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "name": "test-po"},
            "spec": {"containers": [{"name": "old", "image": "registry.example/old:1"}]},
        },
    }
    wanted = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}
    return stored(wanted, manager="kubernetes-image-puller")


def pod(*pins: str, node="n1", owner="cache", **values) -> CachePod:
    """Return a pod of a cache that holds these images, and is not Ready."""
    given = {
        "born": "1",
        "template": "new",
        "ready": False,
        "settled": True,
        "started": True,
        "homeless": False,
        "squeezed": False,
        "silent": False,
        "refused": None,
        "pulls": False,
    }
    return CachePod(node=node, owner=owner, pins=frozenset(pins), **{**given, **values})
