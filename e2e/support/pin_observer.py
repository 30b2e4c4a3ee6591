"""An independent witness: it counts how long a node goes without an image that it had pinned.

A process of its own, with a connection of its own (`kubectl get --watch`), which knows nothing of kip. It
reads commands on its standard input, one JSON value per line, and answers each with one line:

    {"want": ["registry/image:tag", ...]}     these images count from now on
    {"report": true}                          {"seconds": {image: {node: s}}, "pinned": {node: [image]}, ...}
    {"died": "node1"}                         somebody ends this node with all its containers
    {"revives": "node1"}                      and begins to start it again

A node's image begins to count when it is pinned while it is wanted; from then on every moment counts in which
no container of any pod on that node runs it, until it is wanted no more. A pod that is being deleted pins
nothing, as its containers end at once. While a node is not Ready, and until its images are pinned again after
that, nothing of it counts: without a kubelet nobody removes images either, and its clock says nothing.

The API server learns late that a node has died, and when it is back its pods are at first reported as they
were. So whoever kills a node tells it here: from then on nothing of it counts, and of the containers that ran
on it none ever counts again.

With `--ripe` seconds a pin that goes before it has stood so long is no gap, but `young`: it came to be while
its pod was being exchanged already, and whoever decided about that cannot have seen it.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class Ledger:
    """Adds up unpinned seconds. `clock` gives seconds; every change of a pod or node is told as it comes."""

    def __init__(self, clock: Callable[[], float], ripe: float = 0.0) -> None:
        self._clock = clock
        self._ripe = ripe
        self._pods: dict[str, tuple[str, str, dict[str, str]]] = {}
        self._down: set[str] = set()
        self._dead: set[str] = set()
        self._ended: set[str] = set()
        self._wanted: frozenset[str] = frozenset()
        self._counted: set[tuple[str, str]] = set()
        self._pinned_since: dict[tuple[str, str], float] = {}
        self._missing: dict[tuple[str, str], float] = {}
        self._seconds: dict[tuple[str, str], float] = {}
        self.gaps: list[dict[str, Any]] = []
        self.young: list[dict[str, Any]] = []

    def want(self, images: frozenset[str]) -> None:
        """Count these images from now on, and no others."""
        self._wanted = images
        self._settle()

    def pod(self, event: str, pod: dict[str, Any]) -> None:
        """Take note of a pod."""
        metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
        if event == "DELETED" or metadata.get("deletionTimestamp") or not node:
            self._pods.pop(metadata["uid"], None)
        else:
            self._pods[metadata["uid"]] = node, metadata["namespace"], running_containers(pod)
        self._settle()

    def died(self, node: str) -> None:
        """Count nothing of this node, whose containers have ended though nobody reports it."""
        self._dead.add(node)
        self._settle()

    def revives(self, node: str) -> None:
        """Count it again, once it is Ready and its images are pinned by new containers."""
        self._bury()
        self._dead.discard(node)
        self._settle()

    def relist(self, namespace: str, uids: set[str]) -> None:
        """Forget the pods that went while nobody watched."""
        for uid, (_, place, _) in list(self._pods.items()):
            if place == namespace and uid not in uids:
                del self._pods[uid]
        self._settle()

    def node(self, event: str, node: dict[str, Any]) -> None:
        """Take note of a node."""
        conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", ())}
        ready = event != "DELETED" and conditions.get("Ready") == "True"
        (self._down.discard if ready else self._down.add)(node["metadata"]["name"])
        self._settle()

    def report(self) -> dict[str, Any]:
        """Return what was counted so far; gaps that still last included."""
        now, totals = self._clock(), dict(self._seconds)
        for key, since in self._missing.items():
            totals[key] = totals.get(key, 0.0) + now - since
        seconds: dict[str, dict[str, float]] = {}
        for (node, image), amount in sorted(totals.items()):
            seconds.setdefault(image, {})[node] = round(amount, 3)
        pinned: dict[str, list[str]] = {}
        for node, image in sorted(self._pinned()):
            pinned.setdefault(node, []).append(image)
        open_gaps = [
            {"node": node, "image": image, "since": since} for (node, image), since in self._missing.items()
        ]
        return {
            "seconds": seconds,
            "total": round(sum(totals.values()), 3),
            "counted": len(self._counted),
            "pinned": pinned,
            "gaps": [*self.gaps, *open_gaps],
            "young": self.young,
        }

    def _pinned(self) -> set[tuple[str, str]]:
        return {
            (node, image)
            for node, _, containers in self._pods.values()
            for container, image in containers.items()
            if node not in self._away and container not in self._ended
        }

    @property
    def _away(self) -> set[str]:
        return self._down | self._dead

    def _bury(self) -> None:
        for node, _, containers in self._pods.values():
            if node in self._dead:
                self._ended |= containers.keys()

    def _settle(self) -> None:
        self._bury()
        now, pinned = self._clock(), self._pinned()
        relevant = {
            key for key in self._counted | pinned if key[1] in self._wanted and key[0] not in self._away
        }
        for key in [key for key in self._missing if key not in relevant or key in pinned]:
            since = self._missing.pop(key)
            self._seconds[key] = self._seconds.get(key, 0.0) + now - since
            self.gaps.append({"node": key[0], "image": key[1], "since": since, "until": now})
        self._counted = relevant
        for key in relevant - pinned - self._missing.keys():
            age = now - self._pinned_since[key]
            if age < self._ripe:
                self._counted.remove(key)
                self.young.append({"node": key[0], "image": key[1], "since": now, "age": round(age, 3)})
            else:
                self._missing[key] = now
        self._pinned_since = {key: self._pinned_since.get(key, now) for key in pinned}


def running_containers(pod: dict[str, Any]) -> dict[str, str]:
    """Return the containers that run, by their runtime's id, and the image as the pod's spec names it."""
    named = {item["name"]: item["image"] for item in pod["spec"]["containers"]}
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return {
        item["containerID"]: named[item["name"]] for item in statuses if "running" in item.get("state", {})
    }


def events(arguments: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield type and object of every event of one watch, those that are there already first."""
    command = ["kubectl", "get", *arguments, "--watch", "--output-watch-events", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
        assert watch.stdout
        for line in watch.stdout:
            event = json.loads(line)
            yield event["type"], event["object"]


def follow_pods(ledger: Ledger, namespace: str, lock: threading.Lock) -> None:
    """Tell the ledger every change of the pods of a namespace; a watch that ends is begun again."""
    while True:
        for event, pod in events(["pods", "-n", namespace]):
            with lock:
                ledger.pod(event, pod)
        time.sleep(0.5)
        names = subprocess.run(
            ["kubectl", "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if names.returncode == 0:
            with lock:
                ledger.relist(namespace, set(names.stdout.split()))


def follow_nodes(ledger: Ledger, lock: threading.Lock) -> None:
    """Tell the ledger every change of a node."""
    while True:
        for event, node in events(["nodes"]):
            with lock:
                ledger.node(event, node)
        time.sleep(0.5)


def main() -> None:
    """Watch, and answer commands until the input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("namespace", nargs="+", help="the namespaces whose pods pin images")
    parser.add_argument("--ripe", type=float, default=0.0, metavar="SECONDS", help="see above")
    chosen = parser.parse_args()
    ledger, lock = Ledger(time.monotonic, chosen.ripe), threading.Lock()
    for namespace in chosen.namespace:
        threading.Thread(target=follow_pods, args=(ledger, namespace, lock), daemon=True).start()
    threading.Thread(target=follow_nodes, args=(ledger, lock), daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        with lock:
            if "want" in command:
                ledger.want(frozenset(command["want"]))
            if "died" in command:
                ledger.died(command["died"])
            if "revives" in command:
                ledger.revives(command["revives"])
            answer = ledger.report()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
