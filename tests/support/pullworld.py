"""Nodes that pull, as a pull job sees them: kubelets whose pulls succeed, fail or hang, and a clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from kip.pulljob.planner import JobPlan, PodStart
from kip.pulljob.pod import Shape, render_pod
from kip.pulljob.pod_view import PodView, read_pod
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import NodeView, Targets, select

BEGIN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
GOOD, BAD, HANGS = "good", "bad", "hangs"
SHAPE = Shape("registry.example/sleep:1")


def rfc3339(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class World:
    """An API server with the pods of one job, and the kubelets of its nodes.

    `fate` is what a pull comes to, by node and image; what is not named is GOOD. `down` are nodes whose
    kubelets are silent, since when.
    """

    job: PullJob
    nodes: list[str]
    fate: dict[tuple[str, str], str] = field(default_factory=dict)
    now: datetime = BEGIN
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: dict[str, datetime] = field(default_factory=dict)
    started: list[PodStart] = field(default_factory=list)
    pulls: list[tuple[str, str]] = field(default_factory=list)
    there: set[tuple[str, str]] = field(default_factory=set)
    uids: Iterator[int] = field(default_factory=count)
    digest: str = "a" * 64

    def targets(self) -> Targets:
        return select(self.job, [NodeView(name, {}, "", self.down.get(name)) for name in self.nodes])

    def views(self) -> list[PodView]:
        return [read_pod(pod) for pod in self.pods.values()]

    def do(self, step: JobPlan, *, only: int | None = None) -> None:
        """Do the actions of a step, or, as a driver that is killed then, only the first ones."""
        actions = [*step.removals, *step.starts]
        for action in actions[:only]:
            if isinstance(action, PodStart):
                self.create(action)
            else:
                self.delete(action.name, action.uid)

    def create(self, start: PodStart) -> None:
        pod = render_pod(self.job, start, SHAPE)
        if pod["metadata"]["name"] in self.pods:
            return  # 409, and the next look finds it
        self.add(pod)
        self.started.append(start)

    def add(self, pod: dict[str, Any]) -> None:
        pod["metadata"] |= {"uid": f"uid-{next(self.uids)}", "creationTimestamp": rfc3339(self.now)}
        pod["status"] = {"phase": "Pending"}
        self.pods[pod["metadata"]["name"]] = pod

    def delete(self, name: str, uid: str | None = None) -> None:
        """Delete a pod: one that runs goes when its kubelet says so."""
        pod = self.pods.get(name)
        if not pod or (uid and pod["metadata"]["uid"] != uid):
            return
        if pod["status"]["phase"] in ("Succeeded", "Failed"):
            del self.pods[name]
        else:
            pod["metadata"].setdefault("deletionTimestamp", rfc3339(self.now))

    def evict(self, name: str) -> None:
        if pod := self.pods.get(name):
            pod["status"] |= {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource",
            }

    def silence(self, node: str) -> None:
        self.down.setdefault(node, self.now)
        for pod in self.pods.values():
            if pod["spec"]["nodeName"] == node:
                pod["silenced"] = True

    def pulling(self) -> set[str]:
        """Return the nodes on which a pod of the job pulls: none that is silent, ended or done.

        What a silent node had begun is given up; that it still ends when the node comes back is not counted.
        """
        found = set()
        for pod in self.pods.values():
            done = {one["name"] for one in pod["status"].get("containerStatuses", ()) if one.get("imageID")}
            rest = {one["name"] for one in pod["spec"]["containers"]} - done
            if pod["metadata"].get("deletionTimestamp") and pod.get("silenced"):
                continue
            if rest and pod["status"]["phase"] == "Pending" and pod["spec"]["nodeName"] not in self.down:
                found.add(pod["spec"]["nodeName"])
        return found

    def tick(self, seconds: float = 1) -> None:
        """Let time pass; each kubelet that is not silent gets on by one image."""
        self.now += timedelta(seconds=seconds)
        for name, pod in list(self.pods.items()):
            node = pod["spec"]["nodeName"]
            if node not in self.nodes:
                del self.pods[name]  # as the collector of pods without a node does
            elif node not in self.down:
                self._kubelet(name, pod, node)

    def _kubelet(self, name: str, pod: dict[str, Any], node: str) -> None:
        status, spec = pod["status"], pod["spec"]
        if pod["metadata"].get("deletionTimestamp"):
            del self.pods[name]
            return
        if status["phase"] in ("Succeeded", "Failed"):
            return
        if "startTime" not in status:
            status["startTime"] = rfc3339(self.now)
        age = (self.now - datetime.fromisoformat(status["startTime"])).total_seconds()
        if age > spec["activeDeadlineSeconds"]:
            status |= {"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long on the node"}
            return
        statuses = status.setdefault("containerStatuses", [])
        for container in spec["containers"]:
            if any(found["name"] == container["name"] for found in statuses):
                continue
            fate = self.fate.get((node, container["image"]), GOOD)
            if fate == HANGS:
                break
            statuses.append(self._pulled(container, node) if fate == GOOD else _failed(container))
            break
        if len(statuses) == len(spec["containers"]) and all("imageID" in found for found in statuses):
            status["phase"] = "Running" if self.job.keep_seconds else "Succeeded"

    def _pulled(self, container: dict[str, Any], node: str) -> dict[str, Any]:
        image, at = container["image"], rfc3339(self.now)
        if (node, image) not in self.there:
            self.pulls.append((node, image))
            self.there.add((node, image))
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}}
        if self.job.keep_seconds:
            state = {"running": {"startedAt": at}}
        return {
            "name": container["name"],
            "imageID": f"registry.example/x@sha256:{self.digest}",
            "state": state,
        }


def _failed(container: dict[str, Any]) -> dict[str, Any]:
    waiting = {"reason": "ErrImagePull", "message": f"{container['image']}: not found"}
    return {"name": container["name"], "state": {"waiting": waiting}}
