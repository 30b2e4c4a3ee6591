"""What one look at 5,000 nodes x 30 images costs the keeper: seconds, CPU, memory on top of the idle process.

An API server of this script's own, in a process beside it, hands out the pods over HTTP as a real one does:
page by page, as JSON of the kubelets' full length. `make bench` prints it too.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kip.cluster.client import PAGE_OF_PODS, connect
from kip.cluster.reads import read_images
from kip.config.settings import Platform, read_settings
from kip.core.render.daemonset import render
from kip.core.status.matrix import Matrix
from kip.core.status.page_document import page_document
from kip.observe.metrics import Metrics

NODES, IMAGES, PAGE = 5000, 30, PAGE_OF_PODS
UID = "11111111-2222-3333-4444-555555555555"
KIB = 1024
MB = 1000**2
Figure = tuple[str, float, str, float | None]


def main() -> None:
    """Measure, and print the figures as JSON: name, value, unit, budget."""
    print(json.dumps(list(figures())))


def figures() -> Iterator[Figure]:
    """Measure, with a server of pods beside."""
    daemonset = make_daemonset()
    ready = multiprocessing.get_context("spawn").Queue()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(daemonset, ready), daemon=True)
    server.start()
    port, size = ready.get()
    try:
        yield from looks(port, size, daemonset)
    finally:
        server.kill()
        server.join()


def looks(port: int, size: int, daemonset: dict[str, Any]) -> Iterator[Figure]:
    """Look twice: the first one lets the process grow, the second one shows whether it goes on growing."""
    what = "survey, 5,000 nodes x 30 images"
    with tempfile.TemporaryDirectory() as folder:
        cluster = connect(str(kubeconfig(Path(folder), port)), "")
        cluster.api_groups()
        metrics, idle = Metrics(), peak()
        started, cpu = time.perf_counter(), time.process_time()
        matrix = look(cluster, daemonset, metrics)
        yield (
            f"{what}: from the first request to cells, page and metrics",
            time.perf_counter() - started,
            "s",
            None,
        )
        yield f"{what}: CPU of the keeper", time.process_time() - cpu, "s", None
        yield f"{what}: what the API server sends", size / MB, "MB", None
        yield f"{what}: cells", len(matrix.cells), "", None
        yield f"{what}: memory on top of the idle keeper", (peak() - idle) / KIB, "MiB", 100
        before = peak()
        look(cluster, daemonset, metrics)
        yield f"{what}: more by a second look", (peak() - before) / KIB, "MiB", 10


def look(cluster: Any, daemonset: dict[str, Any], metrics: Metrics) -> Matrix:
    """Do what the keeper does: read, and make what metrics and page show."""
    matrix = read_images(cluster, daemonset, datetime.now(UTC))
    metrics.surveyed(matrix)
    page_document(matrix)
    return matrix


def peak() -> int:
    """Return the peak of the resident memory in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make_daemonset() -> dict[str, Any]:
    """Return the cache as the API server stores it, complete."""
    images = ";".join(
        f"image-{number}=registry.example/team/image-{number}:1.{number}" for number in range(IMAGES)
    )
    found = render(
        read_settings({"IMAGES": images, "NAMESPACE": "images"}).settings,
        platform=Platform.KUBERNETES,
        owner=None,
    )
    found["metadata"] |= {"uid": UID, "generation": 1}
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady")
    return found | {"status": {"observedGeneration": 1, **dict.fromkeys(counts, NODES)}}


def make_pod(daemonset: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a cache pod as its kubelet reports it; on each fiftieth node one image fails."""
    template = daemonset["spec"]["template"]
    running = {"running": {"startedAt": "2026-11-21T08:00:00Z"}}
    failing = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found" * 6}}
    statuses = [
        {
            "name": item["name"],
            "image": item["image"],
            "imageID": f"{item['image']}@sha256:{place:064x}",
            "containerID": f"containerd://{number:032x}{place:032x}",
            "ready": True,
            "restartCount": 0,
            "started": True,
            "state": failing if number % 50 == 0 and place == 0 else running,
            "lastState": {},
            "resources": item["resources"],
            "volumeMounts": item["volumeMounts"],
        }
        for place, item in enumerate(template["spec"]["containers"])
    ]
    return {
        "metadata": {
            "name": f"kubernetes-image-puller-{number:05}",
            "namespace": "images",
            "uid": f"{number:032x}",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{"kind": "DaemonSet", "name": "kubernetes-image-puller", "uid": UID}],
        },
        "spec": {**template["spec"], "nodeName": f"ip-10-{number // 256}-{number % 256}.eu-1.internal"},
        "status": {
            "phase": "Running",
            "startTime": "2026-11-21T08:00:00Z",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-11-21T08:00:00Z"}
                for kind in (
                    "PodReadyToStartContainers",
                    "Initialized",
                    "Ready",
                    "ContainersReady",
                    "PodScheduled",
                )
            ],
            "containerStatuses": statuses,
        },
    }


def serve(daemonset: dict[str, Any], ready: Any) -> None:
    """Hand out the pods, made before the first request comes."""
    pages = [
        [make_pod(daemonset, number) for number in range(first, first + PAGE)]
        for first in range(0, NODES, PAGE)
    ]
    bodies = []
    for number, items in enumerate(pages):
        more = {"continue": str(number + 1)} if number + 1 < len(pages) else {}
        bodies.append(json.dumps({"metadata": {"resourceVersion": "1", **more}, "items": items}).encode())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            place = int(parse_qs(url.query).get("continue", ["0"])[0])
            body = bodies[place] if url.path.endswith("/pods") else b'{"groups": []}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    ready.put((server.server_port, sum(map(len, bodies))))
    server.serve_forever()


def kubeconfig(folder: Path, port: int) -> Path:
    """Write a kubeconfig for the server."""
    path = folder / "kubeconfig"
    name = {"name": "bench"}
    cluster = {**name, "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {**name, "context": {"cluster": "bench", "user": "bench"}}
    config = {"clusters": [cluster], "contexts": [context], "users": [{**name, "user": {}}]}
    path.write_text(json.dumps({"kind": "Config", "current-context": "bench", **config}), "utf-8")
    return path


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    main()
