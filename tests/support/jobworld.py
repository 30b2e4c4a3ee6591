"""Pull jobs as objects of an API server in memory, on nodes of `pullworld`, and a controller for them."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from types import SimpleNamespace
from typing import Any

from pullcluster import Book, PullCluster
from pullworld import World, rfc3339

from kip.cluster.api import CRDS, PULL_JOBS, PULL_LIST_JOBS, Resource, Selection
from kip.cluster.event_recorder import EventRecorder
from kip.config.settings import read_settings
from kip.errors import Conflict, Forbidden, NotFound
from kip.jobs.controller import Controller
from kip.jobs.job_events import JobEvents
from kip.jobs.job_object import read_job_object
from kip.jobs.openkruise import DEFINITIONS, OURS
from kip.keeper.run import TO_TELL
from kip.observe.metrics import Metrics
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import read_node

NAMESPACE = "ci"
NO_JOB = PullJob("none", NAMESPACE, ("registry.example/none:1",), "none")
KINDS = {resource.kind: resource for resource in (PULL_JOBS, PULL_LIST_JOBS)}


class JobsCluster(PullCluster):
    """Holds jobs and ConfigMaps beside the world's pods and nodes; `events` are those that kip wrote."""

    def __init__(self, nodes: list[str], fate: dict | None = None) -> None:
        super().__init__(World(NO_JOB, nodes, fate or {}))
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.told: list[dict[str, Any]] = []
        self.most: dict[str, int] = {}
        self.count = 0
        for name in DEFINITIONS:
            self.put(CRDS, {"metadata": {"name": name, "labels": {OURS: "true"}}})

    def put(self, resource: Resource, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store an object, as if somebody else had."""
        self.count += 1
        metadata = manifest["metadata"]
        metadata.setdefault("uid", f"{metadata['name']}-{self.count}")
        metadata["resourceVersion"] = str(self.count)
        self.objects[resource.kind, metadata["name"]] = deepcopy(manifest)
        return deepcopy(manifest)

    def job(self, name: str, kind: str = "ImagePullJob", **spec: Any) -> None:
        """Apply a job: a spec that differs raises its generation."""
        resource = KINDS[kind]
        before = self.objects.get((kind, name))
        if before is None:
            metadata = {
                "name": name,
                "namespace": NAMESPACE,
                "generation": 1,
                "creationTimestamp": rfc3339(self.world.now),
            }
            self.put(resource, {"metadata": metadata, "spec": spec})
        elif before["spec"] != spec:
            before["metadata"]["generation"] += 1
            self.put(resource, {**before, "spec": spec})

    def delete_job(self, name: str, kind: str = "ImagePullJob") -> None:
        """Delete a job, and, as the garbage collector does, what belongs to it."""
        uid = self.objects.pop((kind, name))["metadata"]["uid"]
        for key, found in [*self.objects.items()]:
            if any(one["uid"] == uid for one in found["metadata"].get("ownerReferences", ())):
                del self.objects[key]
        for key, pod in [*self.world.pods.items()]:
            if any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences", ())):
                del self.world.pods[key]

    def status(self, name: str, kind: str = "ImagePullJob") -> dict[str, Any]:
        return self.objects[kind, name].get("status", {})

    def get(self, resource: Resource, namespace: str, name: str) -> dict | None:
        if resource.kind in ("Node", "Pod"):
            return super().get(resource, namespace, name)
        self._record("get", resource)
        return deepcopy(self.objects.get((resource.kind, name)))

    def create(self, resource: Resource, namespace: str, manifest: dict, **_: Any) -> dict:
        if resource.kind == "Pod":
            return super().create(resource, namespace, manifest)
        self._record("create", resource)
        if resource.kind == "Event":
            self.told.append(manifest)
            return {"metadata": {"name": "event"}}
        if (resource.kind, manifest["metadata"]["name"]) in self.objects:
            raise Conflict("it exists")
        return self.put(resource, deepcopy(manifest))

    def update(self, resource: Resource, _namespace: str, name: str, manifest: dict) -> dict:
        self._record("update", resource)
        self._check(resource, name, manifest)
        return self.put(resource, deepcopy(manifest))

    def update_status(self, resource: Resource, _namespace: str, name: str, manifest: dict) -> dict:
        self._record("status", resource)
        self._check(resource, name, manifest)
        found = self.objects[resource.kind, name]
        return self.put(resource, {**found, "status": deepcopy(manifest["status"])})

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        if resource.kind == "Pod":
            super().delete(resource, namespace, name, uid=uid)
            return
        self._record("delete", resource)
        if self.objects[resource.kind, name]["metadata"]["uid"] == uid:
            self.delete_job(name, resource.kind)

    def _check(self, resource: Resource, name: str, manifest: dict) -> None:
        if (resource.kind, name) not in self.objects:
            raise NotFound(name)
        found = self.objects[resource.kind, name]["metadata"]["resourceVersion"]
        if manifest["metadata"].get("resourceVersion") != found:
            raise Conflict(name)


class Nodes:
    """Stands for the shelf of the nodes."""

    complete, refused = True, None

    def __init__(self, cluster: JobsCluster, selection: Selection, *_: Any) -> None:
        self.cluster, self.selection = cluster, selection

    @property
    def changes(self) -> int:
        return hash((tuple(self.cluster.world.nodes), tuple(self.cluster.world.down)))

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def items(self) -> tuple:
        return tuple(map(read_node, map(self.cluster._node, self.cluster.world.nodes)))


class Hidden(Nodes):
    """Nodes that may not be listed."""

    complete, refused = False, Forbidden("nodes is forbidden")

    def items(self) -> tuple:
        return ()


class Place:
    """Stands for what is followed of a namespace: everything is known at once."""

    complete, problem = True, ""

    def __init__(self, cluster: JobsCluster, namespace: str, *_: Any) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.book = Book(cluster.world)
        self.tidied_at = cluster.world.now.timestamp()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def jobs(self) -> list:
        found = [
            read_job_object(KINDS[kind], deepcopy(one))
            for (kind, _), one in self.cluster.objects.items()
            if kind in KINDS and one["metadata"]["namespace"] == self.namespace
        ]
        return sorted(found, key=lambda job: (job.created, job.uid))

    def pods(self) -> dict:
        by_key: dict = {}
        for pod in self.book.views():
            by_key.setdefault(pod.job, []).append(pod)
        return by_key


class Keeper:
    """A controller, killed by leaving it and making another."""

    def __init__(self, cluster: JobsCluster, *, budget: int = 50, may_act: Callable[[], bool] = lambda: True):
        self.cluster, self.notes, self.views = cluster, [], ()
        self.metrics = Metrics()
        values = {
            "IMAGES": "registry.example/kept:1",
            "KIP_IMAGE": "registry.example/sleep:1",
            "PLATFORM": "kubernetes",
            "PULL_JOB_NAMESPACES": NAMESPACE,
            "PULL_BUDGET": str(budget),
        }
        self.settings = SimpleNamespace(now=read_settings(values).settings)
        self.controller = Controller(
            cluster,
            lambda: self.settings.now,
            may_act,
            JobEvents(EventRecorder(cluster, lambda _: TO_TELL, self.clock, "me"), self.time),
            self.metrics,
            self._seen,
            self.notes.append,
            lambda: None,
            self.time,
            self.clock,
            Random(1),
            Place,
            Nodes,
        )

    def time(self):
        return self.cluster.world.now

    def clock(self) -> float:
        return self.cluster.world.now.timestamp()

    def _seen(self, views: tuple) -> None:
        self.views = views

    def rounds(self, count: int = 1, until: Callable[[], bool] = lambda: False) -> None:
        """Go round, a second at a time; note the most nodes that pulled at once, of each job and in all."""
        for _ in range(count):
            self.controller.round()
            self.controller.events.events.send_waiting()
            self._measure()
            self.cluster.world.tick()
            if until():
                return

    def _measure(self) -> None:
        pulling: dict[str, set[str]] = {}
        world, most = self.cluster.world, self.cluster.most
        for pod in world.pods.values():
            done = [one for one in pod["status"].get("containerStatuses", ()) if one.get("imageID")]
            if len(done) < len(pod["spec"]["containers"]) and pod["status"]["phase"] == "Pending":
                name = pod["metadata"]["annotations"]["kip.dev/pull-job-name"]
                pulling.setdefault(name, set()).add(pod["spec"]["nodeName"])
        for name, nodes in pulling.items():
            most[name] = max(most.get(name, 0), len(nodes))
        most[""] = max(most.get("", 0), sum(map(len, pulling.values())))
