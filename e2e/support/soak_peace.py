"""When a cache is as its settings say, and everything around it is done."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pins import Pins
from realcluster import get

TEMPLATE = "kip.dev/template"
POD_LABELS = "app.kubernetes.io/name=image-puller"


@dataclass(frozen=True)
class Expected:
    """What a cache should be. Unless it is `whole`, it lists an image that no node can get."""

    namespace: str
    name: str
    annotations: Mapping[str, str]
    images: frozenset[str]
    good: frozenset[str]
    surge: str
    nodes: Collection[str]

    @property
    def whole(self) -> bool:
        """Whether every image can be had, so that the cache can be complete."""
        return self.good == self.images


def unfinished(expected: Expected, pins: Pins) -> str:
    """Return what is not yet as it should be, "" when all is."""
    found = {item["metadata"]["name"]: item for item in get("daemonsets", namespace=expected.namespace)}
    cache = found.pop(expected.name, None)
    if cache is None:
        return "there is no cache"
    if found:
        return f"there are nets: {', '.join(found)}"
    if not pins.everywhere(expected.good, expected.nodes):
        return f"not every good image is pinned everywhere: {pins.report()['pinned']}"
    return _unlike(expected, cache) or _unready(expected, cache)


def images_of(daemonset: dict[str, Any]) -> frozenset[str]:
    """Return the images that a DaemonSet lists."""
    return frozenset(item["image"] for item in daemonset["spec"]["template"]["spec"]["containers"])


def _unlike(expected: Expected, cache: dict[str, Any]) -> str:
    annotations = cache["metadata"].get("annotations") or {}
    if any(annotations.get(key) != text for key, text in expected.annotations.items()):
        return f"the cache has the annotations {annotations}"
    if images_of(cache) != expected.images:
        return f"the cache lists {sorted(images_of(cache))}"
    surge = str(cache["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"])
    # While a rollout waits for an image that nobody has, the keeper raises it.
    return f"maxSurge is {surge}" if expected.whole and surge != expected.surge else ""


def _unready(expected: Expected, cache: dict[str, Any]) -> str:
    """Return where a pod of the newest template is wanting.

    With an image that no node can get, pods that were Ready before stay beside the newest.
    """
    status, nodes = cache["status"], len(expected.nodes)
    counts = {
        key: status.get(key, 0) for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady")
    }
    if status.get("observedGeneration") != cache["metadata"]["generation"]:
        return "the controller has not seen the cache"
    if expected.whole and set(counts.values()) != {nodes}:
        return f"the cache has {counts}"
    pods = get("pods", namespace=expected.namespace, labels=POD_LABELS)
    newest = cache["spec"]["template"]["metadata"]["annotations"][TEMPLATE]
    held: dict[str, set[str]] = {}
    for pod in pods:
        if pod["metadata"].get("annotations", {}).get(TEMPLATE) == newest:
            held.setdefault(pod["spec"].get("nodeName", ""), set()).update(_running(pod))
    lacking = [node for node in expected.nodes if not expected.good <= held.get(node, set())]
    return f"no newest pod holds all good images on {', '.join(lacking)}" if lacking else ""


def _running(pod: dict[str, Any]) -> set[str]:
    named = {item["name"]: item["image"] for item in pod["spec"]["containers"]}
    statuses = pod["status"].get("containerStatuses", ())
    return {named[item["name"]] for item in statuses if "running" in item["state"]}
