"""An API server in memory, as far as the keeper uses one. What the real one would refuse, it refuses."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from samples import COMPLETE

from kip.cluster.api import CONFIGMAPS, DAEMONSETS, DEPLOYMENTS, Listing, Resource, Selection
from kip.core.rights import Rights, Rule
from kip.errors import Conflict, Invalid, KipError, NotFound, RegistryRefused
from kip.keeper.refresher import Refresher

EVERYTHING = Rights((Rule(*(frozenset({"*"}),) * 3, frozenset()),))
Key = tuple[str, str, str]
BLIND = Rights(
    (
        Rule(
            frozenset({"create", "delete", "get", "list", "watch"}),
            frozenset({"apps"}),
            frozenset({"daemonsets", "deployments"}),
            frozenset(),
        ),
    )
)
"""Upstream's Role: neither patch nor a look at pods."""


class Clock:
    """Stands still, until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class FakeCluster:
    """Holds objects by kind, namespace and name; records each call as `verb kind`.

    `failures` maps such a call to the error it raises, once each.
    """

    def __init__(
        self, *objects: dict, rights: Rights = EVERYTHING, groups: frozenset[str] = frozenset()
    ) -> None:
        self.objects: dict[Key, dict] = {}
        self.calls: list[str] = []
        self.ahead = timedelta()
        self.failures: dict[str, list[KipError]] = {}
        self._rights, self._groups, self._count = rights, groups, 0
        for found in objects:
            metadata = found["metadata"]
            seen = (
                {"status": COMPLETE, **deepcopy(found)}
                if found["kind"] == DAEMONSETS.kind
                else deepcopy(found)
            )
            self.objects[found["kind"], metadata["namespace"], metadata["name"]] = seen

    @property
    def writes(self) -> list[str]:
        """The calls that changed something."""
        return [
            call for call in self.calls if call.split()[0] in {"create", "update", "apply", "patch", "delete"}
        ]

    def daemonset(self, name: str = "kubernetes-image-puller", namespace: str = "images") -> dict | None:
        return self.objects.get(("DaemonSet", namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> dict | None:
        self._record("get", resource)
        return deepcopy(self.objects.get((resource.kind, namespace, name)))

    def list_all(self, selection: Selection) -> Listing:
        self._record("list", selection.resource)
        kind, namespace = selection.resource.kind, selection.namespace
        found = [item for key, item in self.objects.items() if key[:2] == (kind, namespace)]
        return Listing(tuple(deepcopy(found)), str(self._count))

    def pages(self, selection: Selection) -> Iterator[Listing]:
        yield self.list_all(selection)

    def create(self, resource: Resource, namespace: str, manifest: dict, *, dry_run: bool = False) -> dict:
        self._record("dry-run" if dry_run else "create", resource)
        self._validate(manifest)
        name = manifest["metadata"].get("name") or manifest["metadata"]["generateName"] + str(self._count)
        key = (resource.kind, namespace, name)
        if dry_run:
            return deepcopy(manifest)
        if key in self.objects:
            raise Conflict(f"{key} already exists")
        return deepcopy(self._store(key, {}, manifest, "Update"))

    def update(self, resource: Resource, namespace: str, name: str, manifest: dict) -> dict:
        self._record("update", resource)
        self._validate(manifest)
        key = (resource.kind, namespace, name)
        if key not in self.objects:
            raise NotFound(f"{key} not found")
        found = self.objects[key]
        if manifest["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise Conflict(f"{key} has been modified")
        return deepcopy(self._store(key, found, manifest, "Update"))

    def apply(self, resource: Resource, namespace: str, manifest: dict, *, dry_run: bool = False) -> dict:
        self._record("dry-apply" if dry_run else "apply", resource)
        self._validate(manifest)
        key = (resource.kind, namespace, manifest["metadata"]["name"])
        found = self.objects.get(key, {})
        if "uid" in manifest["metadata"] and manifest["metadata"]["uid"] != found.get("metadata", {}).get(
            "uid"
        ):
            raise Conflict("another object")
        merged = _merge(found.get("spec", {}), manifest["spec"])
        wanted = {**manifest, "spec": merged}
        return deepcopy(wanted if dry_run else self._store(key, found, wanted, "Apply"))

    def patch(self, resource: Resource, namespace: str, name: str, operations: list[dict]) -> dict:
        self._record("patch", resource)
        key = (resource.kind, namespace, name)
        found = deepcopy(self.objects[key])
        for operation in operations:
            *path, last = operation["path"].strip("/").split("/")
            place = found
            for step in path:
                place = place[step]
            where = int(last) if isinstance(place, list) else last
            if operation["op"] == "test" and place[where] != operation["value"]:
                raise Invalid("the test failed")
            if operation["op"] in {"add", "replace"}:
                place[where] = operation["value"]
            if operation["op"] == "remove":
                del place[where]
        return deepcopy(self._store(key, self.objects[key], found, "Update"))

    def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, orphan: bool = False
    ) -> None:
        self._record("orphan" if orphan else "delete", resource)
        if orphan:
            self.calls[-1:] = [f"delete {resource.plural}"]
        found = self.objects.get((resource.kind, namespace, name))
        if found and found["metadata"]["uid"] != uid:
            raise Conflict("another object")
        self.objects.pop((resource.kind, namespace, name), None)

    def rights(self, _namespace: str) -> Rights:
        self._record("rights", DAEMONSETS)
        return self._rights

    def api_groups(self) -> frozenset[str]:
        self._record("groups", DAEMONSETS)
        return self._groups

    def _record(self, verb: str, resource: Resource) -> None:
        call = f"{verb} {resource.plural}"
        self.calls.append(call)
        if self.failures.get(call):
            raise self.failures[call].pop(0)

    def _validate(self, manifest: dict) -> None:
        if manifest["kind"] != DAEMONSETS.kind:
            return
        names = [item["name"] for item in manifest["spec"]["template"]["spec"]["containers"]]
        if not names or len(set(names)) < len(names):
            raise Invalid("containers: no names, or one twice")

    def _store(self, key: Key, before: dict, wanted: dict, operation: str) -> dict:
        self._count += 1
        known = before.get("metadata", {})
        changed = before.get("spec") != wanted.get("spec")
        entry = {"manager": "kip", "operation": operation}
        metadata: dict[str, Any] = {
            "creationTimestamp": "2026-11-21T08:00:00Z",
            "uid": f"uid-{self._count}",
            **known,
            **wanted["metadata"],
            "name": key[2],
            "generation": known.get("generation", 0) + changed,
            "resourceVersion": str(self._count),
            "managedFields": [*(item for item in known.get("managedFields", ()) if item != entry), entry],
        }
        # Its controller and its kubelets are quick.
        self.objects[key] = {**before, **deepcopy(wanted), "metadata": metadata, "status": COMPLETE}
        return self.objects[key]


def deployment(
    name: str = "kubernetes-image-puller", *, replicas: int = 1, uid: str = "deployment-uid"
) -> dict:
    """Return the keeper's own Deployment."""
    return {
        "kind": DEPLOYMENTS.kind,
        "metadata": {"name": name, "namespace": "images", "uid": uid},
        "spec": {"replicas": replicas},
    }


def configmap(**data: str) -> dict:
    """Return the keeper's ConfigMap."""
    return {"kind": CONFIGMAPS.kind, "metadata": {"name": "settings", "namespace": "images"}, "data": data}


def _merge(found: Any, wanted: Any) -> Any:
    """Merge as server-side apply does with fields of others: they stay, containers are told apart by name."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {**found, **{key: _merge(found.get(key), value) for key, value in wanted.items()}}
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict) and "name" in wanted[0]:
        others = {item["name"]: item for item in found or ()}
        merged = [_merge(others.pop(item["name"], None), item) for item in wanted]
        return [*merged, *others.values()]
    return wanted


def unasked(now: Callable[[], datetime]) -> Refresher:
    """Return a refresher whose registries tell nothing, so that a due refresh is done."""
    silent = RegistryRefused("it does not tell")
    return Refresher(now, lambda _, images, __: dict.fromkeys(images, silent), start=lambda work: work())
