"""Reading what a reconcile needs to know: settings, our Deployment, rights, platform, the cache, its pods."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from kip.cluster.api import CONFIGMAPS, DAEMONSETS, DEPLOYMENTS, EVENTS, PODS, SECRETS, Cluster, Selection
from kip.config.diagnostics import Unreadable
from kip.config.settings import Platform, Settings
from kip.core.render.daemonset import Owner
from kip.core.render.image_names import ImageNames
from kip.core.render.node_selection import selected_nodes
from kip.core.rights import Rights
from kip.core.rollout.bridge import pod_labels
from kip.core.rollout.cache_pods import CachePod, read_cache_pods
from kip.core.rollout.ownership import is_former_cache, is_own_bridge
from kip.core.rollout.plan_types import Observed
from kip.core.status.kubernetes_events import NOT_SET_UP, REFUSALS, newest_refusal, with_unstarted
from kip.core.status.matrix import Matrix, read_matrix, with_podless
from kip.core.status.pod_status import is_left_behind, is_of
from kip.errors import Forbidden
from kip.registry.credentials import Credential, read_pull_secret

Manifest = dict[str, Any]

OPENSHIFT_GROUP = "route.openshift.io"
"""Upstream's mark of OpenShift: this API group is served."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deployment:
    """The keeper's own Deployment, as far as it decides about the cache."""

    owner: Owner
    scaled_to_zero: bool


@dataclass(frozen=True, slots=True, order=True)
class CacheLocation:
    """Where a cache is, or was before the settings changed."""

    namespace: str
    name: str


def read_configmap(cluster: Cluster, namespace: str, name: str) -> dict[str, str] | None:
    """Return the data of a ConfigMap, None when it does not exist."""
    found = cluster.get(CONFIGMAPS, namespace, name)
    return None if found is None else dict(found.get("data") or {})


def read_deployment(cluster: Cluster, namespace: str, name: str, rights: Rights) -> Deployment | None:
    """Return our Deployment, None when there is none, none is named, or it may not be read.

    A 403 in spite of the right to read it (an API server that is just starting) is raised: without its owner
    the cache would look like somebody else's.
    """
    if not name:
        return None
    try:
        found = cluster.get(DEPLOYMENTS, namespace, name)
    except Forbidden:
        if rights.allow("get", "deployments", group="apps", name=name):
            raise
        return None  # without an owner the cache still works; it only has to be deleted by hand
    if found is None:
        return None
    owner = Owner(found["metadata"]["name"], found["metadata"]["uid"])
    return Deployment(owner, scaled_to_zero=found["spec"].get("replicas", 1) == 0)


def observe(
    cluster: Cluster, settings: Settings, rights: Rights, former: Iterable[CacheLocation] = ()
) -> Observed:
    """Read the cache, its owner, and the nets and former caches in its namespace.

    `former` are places of the cache that this keeper remembers.
    """
    namespace, name = settings.namespace, settings.daemonset_name
    daemonsets = _read_daemonsets(cluster, namespace, name, rights)
    deployment = read_deployment(cluster, namespace, settings.deployment_name, rights)
    owner = deployment.owner if deployment else None
    names = {place.name for place in former if place.namespace == namespace}
    others = _others(daemonsets, CacheLocation(namespace, name), owner, names)
    cache = next((found for found in daemonsets if found["metadata"]["name"] == name), None)
    return Observed(cache, owner, rights, tuple(others))


def observe_former(
    cluster: Cluster, settings: Settings, namespace: str, rights: Rights, former: Iterable[CacheLocation]
) -> tuple[Manifest, ...]:
    """Return what is left of our cache in a namespace where it no longer belongs."""
    deployment = read_deployment(cluster, namespace, settings.deployment_name, rights)
    owner = deployment.owner if deployment else None
    names = {place.name for place in former if place.namespace == namespace}
    daemonsets = _read_daemonsets(cluster, namespace, "", rights)
    return tuple(_others(daemonsets, CacheLocation(namespace, ""), owner, names))


def read_pods(
    cluster: Cluster, namespaces: Iterable[str], daemonsets: Iterable[Manifest]
) -> tuple[CachePod, ...]:
    """Read the pods of caches and nets; `daemonsets` tell what their images are called in the settings."""
    listed = ImageNames.by(daemonsets)
    pods: list[CachePod] = []
    for namespace in sorted(set(namespaces)):
        for page in cluster.pages(Selection(PODS, namespace, labels=pod_labels())):
            pods += read_cache_pods(page.items, listed)
    return tuple(pods)


def read_raw_pods(
    cluster: Cluster, daemonset: Manifest, between: Callable[[], None] = lambda: None
) -> Iterator[Manifest]:
    """Yield the pods of one cache as they are, page by page, and those that its exchange left behind."""
    metadata, labels = daemonset["metadata"], daemonset["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    uid = metadata["uid"]
    for page in cluster.pages(Selection(PODS, metadata["namespace"], labels=selector)):
        for pod in page.items:
            if is_of(pod, uid) or is_left_behind(pod):
                yield pod
        between()


def read_images(
    cluster: Cluster,
    daemonset: Manifest,
    now: datetime,
    nodes: Callable[[], Iterable[Manifest]] = tuple,
    between: Callable[[], None] = lambda: None,
) -> Matrix:
    """Return which image of the cache is on which node, and why nodes have no pod, as far as that is told.

    `nodes` reads all nodes where that is allowed; it is asked only when some lack their pod.
    `between` is called after each page of pods, as there may be many.
    """
    matrix = read_matrix(daemonset, read_raw_pods(cluster, daemonset, between), now=now)
    namespace, uid = daemonset["metadata"]["namespace"], daemonset["metadata"]["uid"]
    if matrix.unstarted:
        matrix = with_unstarted(matrix, _read_events(cluster, namespace, *NOT_SET_UP))
    if matrix.without_pod:
        refused = newest_refusal(_read_events(cluster, namespace, REFUSALS), uid, matrix.newest_pod)
        matrix = with_podless(matrix, selected_nodes(daemonset["spec"]["template"]["spec"], nodes()), refused)
    return matrix


def _read_events(cluster: Cluster, namespace: str, *fields: str) -> list[Manifest]:
    """Return the Events of these selections, as far as they may be read."""
    found: list[Manifest] = []
    with suppress(Forbidden):
        for selection in fields:
            found += cluster.list_all(Selection(EVENTS, namespace, fields=selection)).items
    return found


def read_credentials(cluster: Cluster, settings: Settings, rights: Rights) -> tuple[Credential, ...]:
    """Read the pull secrets, as far as that is allowed. One that cannot be used is told, and left out."""
    found: list[Credential] = []
    for name in settings.image_pull_secrets:
        if not rights.allow("get", "secrets", name=name):
            continue
        try:
            found += read_pull_secret(cluster.get(SECRETS, settings.namespace, name) or {})
        except (Unreadable, Forbidden) as error:
            log.warning("pull_secret_unusable", name=name, error=str(error))
    return tuple(found)


def detect_platform(cluster: Cluster, wanted: Platform) -> Platform:
    """Return the platform. `auto` asks which API groups there are; an error there is no reason to guess."""
    if wanted is not Platform.AUTO:
        return wanted
    return Platform.OPENSHIFT if OPENSHIFT_GROUP in cluster.api_groups() else Platform.KUBERNETES


def _read_daemonsets(cluster: Cluster, namespace: str, name: str, rights: Rights) -> tuple[Manifest, ...]:
    """Return all DaemonSets of the namespace, or, where that is not allowed, the one of that name."""
    if rights.allow("list", "daemonsets", group="apps"):
        return cluster.list_all(Selection(DAEMONSETS, namespace)).items
    found = cluster.get(DAEMONSETS, namespace, name) if name else None
    return (found,) if found else ()


def _others(
    daemonsets: Iterable[Manifest], place: CacheLocation, owner: Owner | None, names: set[str]
) -> Iterator[Manifest]:
    for found in daemonsets:
        metadata = found["metadata"]
        if metadata["name"] == place.name or metadata.get("deletionTimestamp"):
            continue
        if is_own_bridge(found, owner, {place.name, *names}) or is_former_cache(found, owner, names):
            yield found
