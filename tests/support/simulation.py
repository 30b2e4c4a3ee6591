"""A cluster in memory in which DaemonSets have pods: the rules of its controller and of kubelets.

Source of the rules: pkg/controller/daemon of Kubernetes 1.36 (manage, rollingUpdate, IsPodUpdated) and the
kubelet's order of work (init container, then containers one by one; a failed pull does not stop the next).
What is left out: the scheduler's resources (a node has room for a number of pods), the back-off of pulls.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from math import ceil

from fakes import FakeCluster, deployment
from simulatedpod import FAILING, RUNNING, Pod

from kip.cluster.api import Listing, Resource, Selection
from kip.core.rights import Rights

GENERATION = "deprecated.daemonset.template.generation"
NOTICED_AFTER = 5
"""Seconds after which a node that died is known to be away."""

SYNCS = 4
"""How often the controller looks in a second in which a kubelet refuses its pods."""

LONGEST_BACKOFF = 900


class Simulation(FakeCluster):
    """Nodes, pods, controller, kubelets and a registry that has every image but those called `bad`."""

    def __init__(self, nodes: int, rights: Rights, room: int = 9) -> None:
        super().__init__(deployment(), rights=rights)
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.room = room
        self.pods: list[Pod] = []
        self.on_node: dict[str, set[str]] = {node: set() for node in self.nodes}
        self.registry_away = False
        self.away: dict[str, int] = {}
        """Nodes that died, and when."""
        self.controlled = True
        """Whether the DaemonSet controller is there."""
        self.refusing: set[str] = set()
        """Nodes whose disk is full: their kubelets evict and refuse all pods."""
        self._backoff: dict[tuple[str, int, str], tuple[int, int]] = {}
        self.time = 0
        self.pulls: dict[int, set[str]] = {}
        """Nodes that pulled an image of the list, by the second."""
        self.watcher: Callable[[], None] = lambda: None
        self._born = 0

    # What the keeper sees

    def list_all(self, selection: Selection) -> Listing:
        if selection.resource.kind != "Pod":
            return super().list_all(selection)
        self._record("list", selection.resource)
        return Listing(tuple(deepcopy(pod.manifest()) for pod in self.pods), str(self._count))

    def pages(self, selection: Selection) -> Iterator[Listing]:
        yield self.list_all(selection)

    def create(self, resource: Resource, namespace: str, manifest: dict, *, dry_run: bool = False) -> dict:
        made = super().create(resource, namespace, manifest, dry_run=dry_run)
        if not dry_run:
            self._fresh(manifest["metadata"]["name"])
        return made

    def apply(self, resource: Resource, namespace: str, manifest: dict, *, dry_run: bool = False) -> dict:
        name = manifest["metadata"]["name"]
        before = deepcopy(self.objects["DaemonSet", namespace, name])
        made = super().apply(resource, namespace, manifest, dry_run=dry_run)
        if not dry_run:
            self._updated(name, before)
        return made

    def patch(self, resource: Resource, namespace: str, name: str, operations: list[dict]) -> dict:
        before = deepcopy(self.objects["DaemonSet", namespace, name])
        made = super().patch(resource, namespace, name, operations)
        self._updated(name, before)
        return made

    def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, orphan: bool = False
    ) -> None:
        super().delete(resource, namespace, name, uid=uid, orphan=orphan)
        for pod in self.pods:
            if resource.kind == "Pod" and pod.name == name:
                pod.going = True
            if pod.owner == uid:
                if orphan:
                    pod.owner = ""
                else:
                    pod.going = True
        self.watcher()

    def _fresh(self, name: str) -> None:
        found = self.daemonset(name)
        found["status"] = {}
        found["metadata"].setdefault("annotations", {}).setdefault(GENERATION, "1")

    def _updated(self, name: str, before: dict) -> None:
        found = self.daemonset(name)
        annotations = found["metadata"].setdefault("annotations", {})
        generation = int(before["metadata"]["annotations"][GENERATION])
        changed = before["spec"]["template"] != found["spec"]["template"]
        annotations[GENERATION] = str(generation + changed)
        found["status"] = before["status"]  # the controller has not looked yet

    # What the cluster does by itself

    def tick(self) -> None:
        """Let one second pass."""
        self.time += 1
        self.pods = [pod for pod in self.pods if not pod.going or pod.node in self.away]
        for pod in self.pods:
            pod.unheard = self.time - self.away.get(pod.node, self.time) > NOTICED_AFTER
        for _ in range(SYNCS if self.refusing else 1):
            self._sync()
        for pod in list(self.pods):
            self._run(pod)
            self.watcher()

    def _sync(self) -> None:
        self.pods = [pod for pod in self.pods if not (pod.going and pod.failed)]
        daemonsets = sorted(key for key in self.objects if key[0] == "DaemonSet")
        for key in daemonsets if self.controlled else ():
            self._control(self.objects[key])
            self.watcher()
        for node in self.nodes:
            self._schedule(node)
        for pod in self.pods:
            pod.failed |= pod.bound and pod.node in self.refusing and pod.node not in self.away

    def die(self, node: str) -> None:
        """Let a node die with all its containers; nobody knows yet."""
        self.away.setdefault(node, self.time)

    def revive(self, node: str) -> None:
        """Start it again: its kubelet begins all its pods anew."""
        if self.away.pop(node, None) is None:
            return
        for pod in self.pods:
            if pod.node == node:
                pod.started = pod.copied = pod.unheard = False
                pod.containers.clear()

    def edit_surge(self, name: str, value: int | str) -> None:
        """Let somebody change maxSurge by hand."""
        if found := self.daemonset(name):
            rolling = found["spec"]["updateStrategy"].get("rollingUpdate")
            if rolling and rolling["maxSurge"] != value:
                rolling["maxSurge"] = value
                found["metadata"]["generation"] += 1

    def _control(self, daemonset: dict) -> None:
        uid, template = daemonset["metadata"]["uid"], daemonset["spec"]["template"]
        revision = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
        generation = daemonset["metadata"]["annotations"][GENERATION]
        selector = daemonset["spec"]["selector"]["matchLabels"].items()
        for pod in self.pods:
            if not pod.owner and not pod.going and selector <= pod.template["metadata"]["labels"].items():
                pod.owner = uid
        failed = self._remove_failed(daemonset)
        strategy = daemonset["spec"]["updateStrategy"]
        nodes = self.selected(daemonset)
        self._leave(uid, nodes)

        def is_new(pod: Pod) -> bool:
            return pod.revision == revision or pod.generation == generation

        mine = {node: self._pods_of(uid, node) for node in nodes}
        surge = _count((strategy.get("rollingUpdate") or {}).get("maxSurge", 0), len(nodes))
        for pods in mine.values():
            if surge:
                _prune(pods, is_new)
            else:
                for pod in sorted(pods, key=lambda pod: (not pod.bound, pod.born))[1:]:
                    pod.going = True
        surging = sum(len({is_new(pod) for pod in pods}) > 1 for pods in mine.values())
        # With a surge only pods that run count: https://github.com/kubernetes/kubernetes/issues/124388
        make = [node for node, pods in mine.items() if not pods and (surge or node not in failed)]
        if strategy["type"] == "RollingUpdate":
            old = {node: pods[0] for node, pods in mine.items() if pods and not any(map(is_new, pods))}
            if surge:
                make += [node for node, pod in old.items() if not pod.ready]
                make += [node for node, pod in old.items() if pod.ready][: max(0, surge - surging)]
            else:
                self._exchange(list(mine.values()), list(old.values()), strategy["rollingUpdate"])
        for node in make:
            self._born += 1
            name = f"{daemonset['metadata']['name']}-{self._born}"
            self.pods.append(Pod(name, uid, node, deepcopy(template), revision, generation, self._born))
        self._report(daemonset, nodes, is_new)

    def _remove_failed(self, daemonset: dict) -> set[str]:
        """Remove one failed pod of each node whose pause is over; return the nodes that had any."""
        uid, generation = daemonset["metadata"]["uid"], daemonset["status"].get("observedGeneration", 0)
        failed = [pod for pod in self.pods if pod.owner == uid and pod.failed and not pod.going]
        for pod in failed:
            key = uid, generation, pod.node
            pause, since = self._backoff.get(key, (0, self.time))
            if self.time - since >= pause:
                self._backoff[key] = min(2 * pause, LONGEST_BACKOFF) or 1, self.time
                pod.going = True
        return {pod.node for pod in failed}

    def _leave(self, uid: str, nodes: list[str]) -> None:
        for pod in self.pods:
            if pod.owner == uid and pod.node not in nodes:
                pod.going = True

    def selected(self, daemonset: dict) -> list[str]:
        """Return the nodes that a DaemonSet selects."""
        return [node for node in self.nodes if _selects(daemonset["spec"]["template"], node)]

    def _exchange(self, groups: list[list[Pod]], old: list[Pod], rolling: dict) -> None:
        """Without a surge old pods go first, as far as maxUnavailable allows; new ones come a tick later."""
        unavailable = sum(not any(pod.ready for pod in pods) for pods in groups)
        allowed = _count(rolling["maxUnavailable"], len(groups)) - unavailable
        for pod in old:
            if not pod.ready:
                pod.going = True
            elif allowed > 0:
                pod.going = True
                allowed -= 1

    def _pods_of(self, uid: str, node: str, *, failed: bool = False) -> list[Pod]:
        """Return the pods of a DaemonSet on a node, the oldest first; with `failed` those too."""
        found = [pod for pod in self.pods if pod.owner == uid and pod.node == node and not pod.going]
        return sorted((pod for pod in found if failed or not pod.failed), key=_age)

    def _report(self, daemonset: dict, nodes: list[str], is_new: Callable[[Pod], bool]) -> None:
        uid = daemonset["metadata"]["uid"]
        oldest = {node: next(iter(self._pods_of(uid, node, failed=True)), None) for node in nodes}
        there = [pod for pod in oldest.values() if pod]
        ready = sum(pod.ready for pod in there)
        daemonset["status"] = {
            "desiredNumberScheduled": len(nodes),
            "currentNumberScheduled": len(there),
            "updatedNumberScheduled": sum(is_new(pod) for pod in there),
            "numberReady": ready,
            "numberAvailable": ready,
            "observedGeneration": daemonset["metadata"]["generation"],
        }

    def _schedule(self, node: str) -> None:
        """Bind pods while there is room; one that asks for nothing always fits."""
        mine = [pod for pod in self.pods if pod.node == node and not pod.going and not pod.failed]
        bound = sum(pod.bound and pod.asks for pod in mine)
        for pod in sorted((p for p in self.pods if p.node == node and not p.bound), key=_age):
            if bound < self.room or not pod.asks:
                pod.bound = True
                bound += pod.asks

    def _run(self, pod: Pod) -> None:
        """Do one thing: start the pod, or one container of it, or try one again that failed."""
        if not pod.bound or pod.going or pod.failed or pod.node in self.away:
            return
        if not pod.started:
            pod.started = True
            return
        if not pod.copied:
            pod.copied = self._pull(pod.template["spec"]["initContainers"][0], pod.node)
            if not pod.copied:
                return
        for item in pod.specs:
            if pod.containers.get(item["name"]) != RUNNING:
                there = self._pull(item, pod.node)
                failed_before = pod.containers.get(item["name"]) == FAILING
                pod.containers[item["name"]] = RUNNING if there else FAILING
                if there or not failed_before:
                    return

    def _pull(self, container: dict, node: str) -> bool:
        image, policy = container["image"], container["imagePullPolicy"]
        present = image in self.on_node[node]
        if policy == "Never" or (policy == "IfNotPresent" and present):
            return present
        if self.registry_away or "bad" in image:
            return False
        if not present and container["name"] != "copy-sleep":
            self.pulls.setdefault(self.time, set()).add(node)
        self.on_node[node].add(image)
        return True

    def pins(self) -> dict[str, set[str]]:
        """Return which images are pinned on which node; one that is away pins nothing."""
        pinned: dict[str, set[str]] = {node: set() for node in self.nodes}
        for pod in self.pods:
            if pod.node not in self.away:
                pinned[pod.node] |= pod.pins
        return pinned


def _prune(pods: list[Pod], is_new: Callable[[Pod], bool]) -> None:
    """Of several pods on a node keep the oldest new one, and the oldest old one until its time has come."""
    new, old = [pod for pod in pods if is_new(pod)], [pod for pod in pods if not is_new(pod)]
    for pod in [*new[1:], *old[1:]]:
        pod.going = True
    if new and old and (not old[0].ready or new[0].ready):
        old[0].going = True


def _age(pod: Pod) -> int:
    return pod.born


def _count(value: int | str, nodes: int) -> int:
    return ceil(nodes * int(str(value)[:-1]) / 100) if str(value).endswith("%") else int(value)


def _selects(template: dict, node: str) -> bool:
    affinity = (template["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    named = {
        value
        for term in required.get("nodeSelectorTerms") or ()
        for item in term.get("matchFields") or ()
        for value in item["values"]
    }
    return not named or node in named
