"""Reading the cache for the commands that show it or wait for it."""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from kip.cluster.api import DAEMONSETS, DEPLOYMENTS, EVENTS, NODES, Cluster, Selection
from kip.cluster.reads import read_configmap, read_images
from kip.config import sources
from kip.config.images import CacheImage
from kip.config.settings import Settings, read_settings
from kip.core.render.node_selection import is_selected, left_out_nodes
from kip.core.status.kubernetes_events import FAILURES, PULLS, with_events
from kip.core.status.matrix import Matrix, with_left_out
from kip.core.status.wait_condition import Observation, environment_of, not_yet_taken
from kip.errors import Forbidden, NotFound, SettingsError

Manifest = dict[str, Any]


def read_status(
    cluster: Cluster, namespace: str, name: str, *, pulls: bool = False, taints: bool = False
) -> Matrix:
    """Return the matrix of a cache.

    If asked for it has what Events tell of `pulls`, which are many, and the nodes that `taints` leave out:
    for these all nodes are read, where that is allowed.

    Raises NotFound when there is none.
    """
    found = cluster.get(DAEMONSETS, namespace, name)
    if found is None:
        raise NotFound(
            f"there is no DaemonSet {namespace}/{name}",
            hint="Name it with -n and --daemonset. `kubectl get daemonsets -A` lists all there are.",
        )
    nodes = cache(lambda: _nodes(cluster))
    matrix = read_images(cluster, found, datetime.now(UTC), lambda: nodes() or ())
    if taints and (there := nodes()) is not None:
        matrix = with_left_out(matrix, left_out_nodes(_pod_spec(found), there))
    return with_events(matrix, _events(cluster, namespace)) if pulls else matrix


def _nodes(cluster: Cluster) -> tuple[Manifest, ...] | None:
    """Return all nodes, None where they may not be read."""
    try:
        return cluster.list_all(Selection(NODES, "")).items
    except Forbidden:
        return None


def _events(cluster: Cluster, namespace: str) -> Iterator[Manifest]:
    """Yield what the kubelets tell of pulls, as far as that may be read."""
    with suppress(Forbidden):
        for fields in (PULLS, FAILURES):
            for page in cluster.pages(Selection(EVENTS, namespace, fields=fields)):
                yield from page.items


@dataclass(frozen=True, slots=True)
class CacheReader:
    """Looks at one cache again and again, for a wait.

    `environment` is this process's; in the keeper's pod it names the ConfigMap. `selector` chooses nodes by
    label.
    """

    cluster: Cluster
    namespace: str
    name: str
    environment: Mapping[str, str]
    pod_namespace: str = ""
    selector: str = ""

    def look(self) -> Observation:
        """Read the settings first: what the cache shows later is then no older than they are."""
        found = self.cluster.get(DAEMONSETS, self.namespace, self.name)
        settings, refused, left_out = self._settings(found)
        listed = settings.images if settings else None
        if found is None or found["metadata"].get("deletionTimestamp"):
            return Observation(None, listed=listed, refused=refused, left_out=left_out)
        if settings and not_yet_taken(found, settings):
            found = self.cluster.get(DAEMONSETS, self.namespace, self.name) or found
        matching = self._matching_nodes()
        matrix = read_images(self.cluster, found, datetime.now(UTC))
        nodes = None if matching is None else _wanted_nodes(found, matching, matrix)
        held = found["spec"]["template"]["spec"]["containers"]
        return Observation(
            matrix if matching is None else with_left_out(matrix, left_out_nodes(_pod_spec(found), matching)),
            held=tuple(CacheImage(item["name"], item["image"]) for item in held),
            nodes=nodes,
            unselected=tuple(sorted(_names(matching or ()) - (nodes or frozenset()))),
            listed=listed,
            pending=not_yet_taken(found, settings) if settings else "",
            refused=refused,
            left_out=left_out,
        )

    def _settings(self, found: Manifest | None) -> tuple[Settings | None, str, tuple[str, ...]]:
        """Return the newest settings as far as they may be read, their fault, and what they leave out."""
        try:
            values = self._values(found)
        except Forbidden:
            return None, "", ()
        if not values.get("IMAGES", "").strip():
            return None, "", ()
        try:
            reading = read_settings(values, pod_namespace=self.namespace)
        except SettingsError as error:
            return None, str(error).replace("\n", "; "), ()
        # Those of another cache say nothing about this one.
        settings = reading.settings
        if (settings.namespace, settings.daemonset_name) != (self.namespace, self.name):
            return None, "", ()
        return settings, "", tuple(str(note) for note in reading.notes if note.refused)

    def _values(self, found: Manifest | None) -> Mapping[str, str]:
        """Return the keeper's settings: from its environment in its pod, from its Deployment elsewhere."""
        environment, namespace = self.environment, self.pod_namespace or self.namespace
        if not environment.get("CONFIGMAP_NAME", "").strip():
            environment, namespace = self._of_deployment(found), self.namespace
        name = environment.get("CONFIGMAP_NAME", "").strip()
        live = (read_configmap(self.cluster, namespace, name) if name else None) or {}
        return sources.merge(environment, live)

    def _of_deployment(self, found: Manifest | None) -> Mapping[str, str]:
        owners = (found or {}).get("metadata", {}).get("ownerReferences") or ()
        name = next((owner["name"] for owner in owners if owner.get("kind") == "Deployment"), "")
        deployment = self.cluster.get(DEPLOYMENTS, self.namespace, name) if name else None
        if deployment is None:
            return {}
        environment, whole = environment_of(deployment)
        configmaps = [read_configmap(self.cluster, self.namespace, each) or {} for each in whole]
        # A container's own variables win over those of the ConfigMaps it takes whole, of these the last.
        return ChainMap(environment, *reversed(configmaps))

    def _matching_nodes(self) -> tuple[Manifest, ...] | None:
        if not self.selector:
            return None
        try:
            return self.cluster.list_all(Selection(NODES, "", labels=self.selector)).items
        except Forbidden as error:
            raise Forbidden(
                f"--nodes needs the right to list nodes: {error}",
                hint="Grant get and list on nodes by a ClusterRole, or leave --nodes out.",
                status=error.status,
                reason=error.reason,
            ) from error


def _wanted_nodes(found: Manifest, matching: tuple[Manifest, ...], matrix: Matrix) -> frozenset[str]:
    """Return the nodes that the cache selects, and those that it is on, of the ones that match.

    One that a taint leaves out is wanted too: it was asked for, and stays empty.
    """
    pod = _pod_spec(found)
    selected = _names(node for node in matching if is_selected(node, pod))
    return selected | (_names(matching) & set(matrix.nodes))


def _pod_spec(found: Manifest) -> Manifest:
    pod: Manifest = found["spec"]["template"]["spec"]
    return pod


def _names(nodes: Iterable[Manifest]) -> frozenset[str]:
    return frozenset(node["metadata"]["name"] for node in nodes)
