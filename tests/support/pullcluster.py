"""An API server in memory, as far as a pull uses one: the pods and nodes of a `World`."""

from collections.abc import Iterator
from datetime import timedelta

from pullworld import World, rfc3339

from kip.cluster.api import Listing, Resource, Selection
from kip.errors import Conflict, KipError
from kip.pulljob.pod_view import PodView


class PullCluster:
    """Serves the world's pods and nodes; `failures` maps calls (`create pods`) to errors, once each."""

    def __init__(self, world: World, *, events: tuple[dict, ...] = ()) -> None:
        self.world, self.events = world, events
        self.calls: list[str] = []
        self.failures: dict[str, list[KipError]] = {}
        self.ahead = timedelta()

    def get(self, resource: Resource, _namespace: str, name: str) -> dict | None:
        self._record("get", resource)
        if resource.kind == "Node":
            return self._node(name) if name in self.world.nodes else None
        return self.world.pods.get(name)

    def pages(self, selection: Selection) -> Iterator[Listing]:
        self._record("list", selection.resource)
        if selection.resource.kind == "Node":
            yield Listing(tuple(map(self._node, self.world.nodes)), "1")
        elif selection.resource.kind == "Event":
            found = (event for event in self.events if f"reason={event['reason']}" in selection.fields)
            yield Listing(tuple(found), "1")
        else:
            found = [pod for pod in self.world.pods.values() if _has(pod, selection.labels)]
            yield Listing(tuple(found), "1")

    def create(self, resource: Resource, _namespace: str, pod: dict, *, dry_run: bool = False) -> dict:
        self._record("dry-run" if dry_run else "create", resource)
        if dry_run:
            return pod
        if pod["metadata"]["name"] in self.world.pods:
            raise Conflict("there already")
        self.world.add(pod)
        return pod

    def delete(self, resource: Resource, _namespace: str, name: str, *, uid: str) -> None:
        self._record("delete", resource)
        self.world.delete(name, uid)

    def api_groups(self) -> frozenset[str]:
        return frozenset({"apps"})

    def _record(self, verb: str, resource: Resource) -> None:
        call = f"{verb} {resource.plural}"
        self.calls.append(call)
        if self.failures.get(call):
            raise self.failures[call].pop(0)

    def _node(self, name: str) -> dict:
        ready = {"type": "Ready", "status": "True"}
        if since := self.world.down.get(name):
            ready = {"type": "Ready", "status": "Unknown", "lastTransitionTime": rfc3339(since)}
        labels = {"kubernetes.io/os": "linux"}
        return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [ready]}}


class Book:
    """Sees the world's pods as they are; a wait lets a second pass."""

    complete = True

    def __init__(self, world: World) -> None:
        self.world = world

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wake(self) -> None: ...

    def put(self, _pod: dict) -> None: ...

    def views(self) -> tuple[PodView, ...]:
        return tuple(self.world.views())

    def wait(self, _seconds: float) -> None:
        self.world.tick()


def _has(pod: dict, labels: str) -> bool:
    found = pod["metadata"]["labels"]
    pairs = [term.partition("=") for term in labels.split(",") if term]
    return all(key in found and (not sign or found[key] == value) for key, sign, value in pairs)
