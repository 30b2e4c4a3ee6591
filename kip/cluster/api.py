"""What kip asks of Kubernetes: the protocol that the rest of the code knows.

Objects are plain dicts, as the API server sends them. Every call has a timeout and raises an
`ApiError` of kip's own; only a missing object is no error where `None` can say so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from kip.core.rights import Rights

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: API group ("" is the core group), version and plural name."""

    group: str
    version: str
    plural: str
    kind: str

    def path(self, namespace: str, name: str = "") -> str:
        """Return the URL path of the collection, or of one object; without a namespace of the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"{root}/namespaces/{namespace}" if namespace else root
        return f"{place}/{self.plural}" + (f"/{name}" if name else "")


DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
NODES = Resource("", "v1", "nodes", "Node")
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", "LimitRange")
EVENTS = Resource("", "v1", "events", "Event")
TOLD_EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
"""The same objects; others' are read in the form that they are written in, kip's own are in the newer one."""

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
PULL_JOBS = Resource("apps.kruise.io", "v1beta1", "imagepulljobs", "ImagePullJob")
PULL_LIST_JOBS = Resource("apps.kruise.io", "v1beta1", "imagelistpulljobs", "ImageListPullJob")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a namespace: all, one by name, or those with labels or fields (`a=b,c=d`).

    A right that is limited to names covers list and watch only with the name given here.
    """

    resource: Resource
    namespace: str
    name: str = ""
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects as of `version`, the point from which a watch goes on."""

    items: tuple[Manifest, ...]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Manifest

    @property
    def version(self) -> str:
        """Return the resourceVersion to go on from after this event."""
        return str(self.object.get("metadata", {}).get("resourceVersion", ""))


class Cluster(Protocol):
    """One Kubernetes API server."""

    @property
    def ahead(self) -> timedelta:
        """How far its clock was ahead of ours at its last answer; zero where they are nearly the same."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return one object, None if there is none."""

    def list_all(self, selection: Selection) -> Listing:
        """Return all objects of the selection, read in pages."""

    def pages(self, selection: Selection) -> Iterator[Listing]:
        """Yield the objects of the selection page by page: thousands of pods need not be held at once."""

    def watch(self, selection: Selection, version: str, seconds: int) -> Iterator[WatchEvent]:
        """Yield what happens after `version`, for `seconds` at most. Raises Gone when that is too old."""

    def create(
        self, resource: Resource, namespace: str, manifest: Manifest, *, dry_run: bool = False
    ) -> Manifest:
        """Create one object. With `dry_run` it is validated and defaulted, strictly, and nothing changes."""

    def update(self, resource: Resource, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """Replace one object. Raises Conflict if it is no longer at the resourceVersion of `manifest`."""

    def update_status(self, resource: Resource, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """Replace the status of one object, and nothing else of it. Raises Conflict as `update` does."""

    def apply(
        self, resource: Resource, namespace: str, manifest: Manifest, *, dry_run: bool = False
    ) -> Manifest:
        """Server-side apply one object as field manager `kip`, by force."""

    def patch(self, resource: Resource, namespace: str, name: str, operations: list[Manifest]) -> Manifest:
        """Change one object by JSON Patch operations (RFC 6902)."""

    def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, orphan: bool = False
    ) -> None:
        """Delete exactly the object with that uid; with `orphan` its pods stay. Gone already is fine."""

    def rights(self, namespace: str) -> Rights:
        """Return what the caller may do in `namespace`."""

    def api_groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""
