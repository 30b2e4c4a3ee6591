"""Reading what a reconcile needs to know: settings, our Deployment, rights, platform, the cache."""

from dataclasses import dataclass
from typing import Any

from kip.cluster.api import CONFIGMAPS, DAEMONSETS, DEPLOYMENTS, Cluster
from kip.config.settings import Platform, Settings
from kip.core.plan import Observed
from kip.core.render import Owner
from kip.core.rights import Rights
from kip.errors import Forbidden

OPENSHIFT_GROUP = "route.openshift.io"
"""Upstream's mark of OpenShift: this API group is served."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The keeper's own Deployment, as far as it decides about the cache."""

    owner: Owner
    scaled_to_zero: bool


def read_configmap(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """Return the data of a ConfigMap; one that does not exist says nothing."""
    found = cluster.get(CONFIGMAPS, namespace, name) or {}
    return dict(found.get("data") or {})


def read_deployment(cluster: Cluster, settings: Settings) -> Deployment | None:
    """Return our Deployment, None when there is none, none is named, or it may not be read."""
    if not settings.deployment_name:
        return None
    try:
        found = cluster.get(DEPLOYMENTS, settings.namespace, settings.deployment_name)
    except Forbidden:
        return None  # without an owner the cache still works; it only has to be deleted by hand
    if found is None:
        return None
    owner = Owner(found["metadata"]["name"], found["metadata"]["uid"])
    return Deployment(owner, scaled_to_zero=found["spec"].get("replicas", 1) == 0)


def observe(cluster: Cluster, settings: Settings, rights: Rights) -> Observed:
    """Read the cache and its owner."""
    daemonset: dict[str, Any] | None = cluster.get(DAEMONSETS, settings.namespace, settings.daemonset_name)
    deployment = read_deployment(cluster, settings)
    return Observed(daemonset, deployment.owner if deployment else None, rights)


def detect_platform(cluster: Cluster, wanted: Platform) -> Platform:
    """Return the platform. `auto` asks which API groups there are; an error there is no reason to guess."""
    if wanted is not Platform.AUTO:
        return wanted
    return Platform.OPENSHIFT if OPENSHIFT_GROUP in cluster.api_groups() else Platform.KUBERNETES
