"""What stands in for the cache while it changes: the net, and the holder.

Surge alone keeps every pin only while each cache pod is Ready: the DaemonSet controller gives up one that is
not as soon as its successor exists, however good its other images are. So before such a change a *net* is
spread, a second DaemonSet with the images that are pinned now and still wanted. They are on the nodes, so it
pulls nothing (policy Never), and it asks for no resources, so it fits on nodes that are full.

The *holder* is the cache with a single container that holds the place of all others. A list that is rolled in
over holders that are Ready obeys MAX_SURGE; the controller obeys it neither on nodes without a pod nor on
those whose pod is not Ready.
"""

import hashlib
import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from kip.core.render.daemonset import INSTANCE_LABEL, TEMPLATE, UPSTREAM_LABELS, with_fingerprint
from kip.core.render.node_selection import may_add_nodes

Manifest = dict[str, Any]

NET_OF = "kip.dev/net-of"
"""Label of a net: the name of its cache."""

NET = "kip.dev/net"
"""Label of the pods of a net: which one, as an edit may need another while the first still stands."""

NODES = "kip.dev/nodes"
"""Annotation of a net: the nodes (JSON) that it is limited to."""

SELECTOR_OF_CACHE = "kip.dev/selector"
"""Annotation of a net: the selector (JSON) that its cache had; one that is made anew needs the same."""

APP_LABEL = "app.kubernetes.io/name"
NET_APP = "image-puller-net"
HOLDER = "holder"
NO_REQUESTS = {"cpu": "0", "memory": "0"}
NODE_CHOICE = ("nodeSelector", "affinity", "tolerations")
"""What in a pod spec decides to which nodes it goes."""

NODES_NAMED = 100
"""A net for more nodes than this is spread over all: a list of them would bloat the DaemonSet."""

NAME_LENGTH = 52
"""The cache's share of the name of a net, which may have 63 characters."""


def pod_labels() -> str:
    """Return the label selector for the pods of caches and of nets."""
    return f"{APP_LABEL} in ({UPSTREAM_LABELS[APP_LABEL]},{NET_APP})"


def is_bridge(daemonset: Manifest) -> bool:
    """Whether this DaemonSet is a net of some cache."""
    return NET_OF in (daemonset["metadata"].get("labels") or {})


def is_placeholder(cache: Manifest) -> bool:
    """Whether the cache holds nothing but the place of what is to come."""
    return [item["name"] for item in cache["spec"]["template"]["spec"]["containers"]] == [HOLDER]


def images_of(daemonset: Manifest) -> frozenset[str]:
    """Return the images that the DaemonSet lists."""
    return frozenset(item["image"] for item in daemonset["spec"]["template"]["spec"]["containers"])


def reaches(daemonset: Manifest, nodes: Iterable[str]) -> bool:
    """Whether a net was spread over these nodes: it names its nodes, or has them all."""
    try:
        named = set(json.loads(daemonset["metadata"]["annotations"][NODES]))
    except (KeyError, ValueError, TypeError):
        return True
    return named >= set(nodes)


def is_everywhere(daemonset: Manifest) -> bool:
    """Whether a net was spread over all nodes of the cache."""
    return NODES not in (daemonset["metadata"].get("annotations") or {})


def asks_for_nothing(daemonset: Manifest) -> bool:
    """Whether the containers of a net request no resources."""
    containers = daemonset["spec"]["template"]["spec"]["containers"]
    requests = (item.get("resources", {}).get("requests", {}) for item in containers)
    return all(request == NO_REQUESTS for request in requests)


def fingerprint_of(daemonset: Manifest) -> str:
    """Return the fingerprint that a DaemonSet of kip's carries in its pod template, "" for others."""
    annotations = daemonset["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(TEMPLATE, ""))


def bridge_for(
    wanted: Manifest,
    found: Manifest,
    images: Iterable[str],
    nodes: Iterable[str] | None = None,
    *,
    free: bool = True,
) -> Manifest:
    """Return the net that holds `images` on `nodes` (None: on all) while the cache becomes `wanted`.

    `found` is the cache as it is: its sleeper's image is on the nodes, and its pull secrets are those that
    the images were pulled with, so that the kubelet lets the net have them. Where `wanted` may select more
    nodes, it goes to those of `found`: on others it holds nothing. One that is not `free` requests what cache
    pods request, as a LimitRange may ask for that.
    """
    of_pod = without_requests if free else deepcopy
    held, named = sorted(images), sorted(nodes) if nodes is not None else []
    pod = deepcopy(wanted["spec"]["template"]["spec"])
    before = found["spec"]["template"]["spec"]
    name = wanted["metadata"]["name"]
    if may_add_nodes(pod, before):
        kept = {key: deepcopy(before[key]) for key in NODE_CHOICE if key in before}
        pod = {key: value for key, value in pod.items() if key not in NODE_CHOICE} | kept
    pod["imagePullSecrets"] = _both(pod.get("imagePullSecrets"), before.get("imagePullSecrets"))
    pod["initContainers"] = [of_pod(_with_sleeper_of(before, item)) for item in pod["initContainers"]]
    pattern = pod["containers"][0]
    pod["containers"] = [
        of_pod({**pattern, "name": f"held-{number}", "image": image, "imagePullPolicy": "Never"})
        for number, image in enumerate(held, 1)
    ]
    annotations = {SELECTOR_OF_CACHE: json.dumps(found["spec"]["selector"], sort_keys=True)}
    if named and len(named) <= NODES_NAMED:
        pod["affinity"] = _only_on(named)
        annotations[NODES] = json.dumps(named)
    identity = hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:6]
    labels = {APP_LABEL: NET_APP, INSTANCE_LABEL: name, NET: identity}
    return {
        **wanted,
        "metadata": {
            **{key: value for key, value in wanted["metadata"].items() if key != "annotations"},
            "name": f"{name[:NAME_LENGTH].rstrip('-.')}-net-{identity}",
            "labels": {**labels, NET_OF: name},
            "annotations": annotations,
        },
        "spec": {
            **wanted["spec"],
            "selector": {"matchLabels": labels},
            # It never rolls; and with a surge the controller would flood a node whose kubelet refuses pods.
            "updateStrategy": {"type": "OnDelete"},
            "template": with_fingerprint({"metadata": {"labels": labels}, "spec": pod}),
        },
    }


def lies_as(net: Manifest, other: Manifest) -> bool:
    """Whether both nets select nodes alike."""
    pod, its = net["spec"]["template"]["spec"], other["spec"]["template"]["spec"]
    same = all((pod.get(key) or {}) == (its.get(key) or {}) for key in NODE_CHOICE)
    return same or net["metadata"]["name"] == other["metadata"]["name"]


def placeholder_of(wanted: Manifest, *, adopts: bool) -> Manifest:
    """Return the cache with nothing but a holder.

    One that is new (`adopts`) leaves the pods that it may find alone: they may be those of a cache that a
    keeper was killed in the middle of replacing.
    """
    labels = wanted["spec"]["template"]["metadata"]["labels"]
    pod = deepcopy(wanted["spec"]["template"]["spec"])
    image = pod["initContainers"][0]["image"]
    pod["containers"] = [
        {**pod["containers"][0], "name": HOLDER, "image": image, "imagePullPolicy": "IfNotPresent"}
    ]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    strategy = {"type": "OnDelete"} if adopts else rolling
    template = with_fingerprint({"metadata": {"labels": labels}, "spec": pod})
    return {**wanted, "spec": {**wanted["spec"], "updateStrategy": strategy, "template": template}}


def selector_of_lost_cache(nets: Iterable[Manifest], name: str) -> dict[str, str] | None:
    """Return the selector of the cache `name`, which is gone, as its nets remember it; None without one."""
    for net in nets:
        if (net["metadata"].get("labels") or {}).get(NET_OF) != name:
            continue
        try:
            labels = json.loads(net["metadata"]["annotations"][SELECTOR_OF_CACHE])["matchLabels"]
        except (KeyError, ValueError, TypeError):
            continue  # somebody wrote there
        if isinstance(labels, dict) and labels:
            return {str(key): str(value) for key, value in labels.items()}
    return None


def _both(wanted: list[Manifest] | None, before: list[Manifest] | None) -> list[Manifest]:
    names = [item["name"] for item in [*(wanted or ()), *(before or ())]]
    return [{"name": name} for name in dict.fromkeys(names)]


def _with_sleeper_of(before: Manifest, copier: Manifest) -> Manifest:
    known = {item["name"]: item for item in before.get("initContainers") or ()}
    return {**copier, "image": known.get(copier["name"], copier)["image"]}


def without_requests(container: Manifest) -> Manifest:
    """Return the container without a request; 0 must be said, as a missing one would be set to the limit."""
    resources = {**container["resources"], "requests": NO_REQUESTS}
    return {**container, "resources": resources}


def _only_on(nodes: Iterable[str]) -> Manifest:
    # A field selector takes one value; terms are alternatives.
    terms = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"nodeAffinity": required}
