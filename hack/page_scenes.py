"""Made-up caches for the status page, and a server of the real application that shows them.

For its tests, its pictures in the docs and its benchmark; no cluster is needed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.notifications import Notification
from kip.observe.health import Health
from kip.observe.http import application, end, serve_on
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
REGISTRY = "registry.example"
Fault = tuple[ImageState, str, str]

NOT_FOUND = (
    ImageState.FAILED,
    "ImagePullBackOff",
    (
        'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to pull '
        'and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    ),
)
TIMEOUT = (
    ImageState.FAILED,
    "ErrImagePull",
    (
        'rpc error: code = Unknown desc = failed to resolve reference "{image}": failed to do request: Head '
        '"https://registry.example/v2/": dial tcp 10.4.0.7:{port}->10.0.0.9:443: i/o timeout'
    ),
)
NO_ROOM = (
    ImageState.ABSENT,
    "Unschedulable",
    (
        "0/5000 nodes are available: 1 Insufficient memory, 4999 node(s) didn't satisfy plugin(s) "
        "[NodeAffinity]. no new claims to deallocate, preemption: 0/5000 nodes are available."
    ),
)
LOST = (ImageState.WAITING, "NodeNotReady", "the node is not heard of; its last word on this image: cached")
PULLS = (ImageState.PULLING, "", "")
WAITS = (ImageState.WAITING, "", "")


def make_matrix(
    nodes: int | list[str],
    images: int | dict[str, str],
    fault: Callable[[int, int], Fault | None] = lambda _node, _image: None,
) -> Matrix:
    """Return a matrix in which everything is cached but where `fault` (of the places) says otherwise."""
    names = [f"node{number:04}" for number in range(nodes)] if isinstance(nodes, int) else nodes
    listed = many_images(images) if isinstance(images, int) else images
    cells, ill = [], set()
    for place, (name, image) in enumerate(listed.items()):
        digest = f"{image.rpartition(':')[0]}@sha256:{place + 10:064x}"
        for number, node in enumerate(names):
            if found := fault(number, place):
                state, reason, message = found
                message = message.replace("{image}", image).replace("{port}", str(30_000 + number))
                cells.append(Cell(node, name, image, state, reason, message))
                ill.add(number)
            else:
                since = (START + timedelta(seconds=number)).isoformat()
                cells.append(Cell(node, name, image, ImageState.CACHED, digest=digest, since=since))
    return Matrix(
        namespace="k8s-image-puller",
        daemonset="kubernetes-image-puller",
        generation=7,
        progress=Progress(len(names), len(names), len(names) - len(ill), current=True),
        nodes=tuple(sorted(names)),
        cells=tuple(cells),
    )


def many_images(count: int) -> dict[str, str]:
    """Return a list of so many images."""
    names = [f"image-{number:02}" for number in range(count)]
    return {name: f"{REGISTRY}/team/{name}:1.{number}" for number, name in enumerate(names)}


IMAGES = {
    "ide": f"{REGISTRY}/devspaces/code:3.17",
    "udi": f"{REGISTRY}/devspaces/udi-rhel9:3.17",
    "java": f"{REGISTRY}/tools/maven:3.9-jdk-21",
    "python": "docker.io/library/python:3.13-slim",
    "node": "docker.io/library/node:22-alpine",
    "postgres": "docker.io/library/postgres:17.2",
}


def few() -> Matrix:
    """Return three nodes with a missing image, and one that is being pulled."""
    bad, slow = list(IMAGES).index("java"), list(IMAGES).index("postgres")

    def fault(node: int, image: int) -> Fault | None:
        if image == bad:
            return NOT_FOUND
        return PULLS if (node, image) == (2, slow) else None

    return make_matrix(["worker-1", "worker-2", "worker-3"], IMAGES, fault)


def complete() -> Matrix:
    """Return three nodes that have everything."""
    return make_matrix(["worker-1", "worker-2", "worker-3"], IMAGES)


def thousands(nodes: int = 5000, images: int = 30) -> Matrix:
    """Return many nodes with troubles of many kinds, as large clusters have them."""
    last = images - 1

    def fault(node: int, image: int) -> Fault | None:
        if node % 611 == 0:
            return LOST
        if node % 419 == 1:
            return NO_ROOM
        if node % 47 == 1 and image == last // 2:
            return TIMEOUT
        if node >= nodes - 80 and image == last:
            return NOT_FOUND
        there = node % 31
        if node % 9 == 1 and image > there:
            return PULLS if image == there + 1 else WAITS
        return None

    names = [f"ip-10-4-{number // 250}-{number % 250}.eu-1.internal" for number in range(nodes)]
    return make_matrix(names, images, fault)


def history() -> Iterator[Notification]:
    """Give what happened lately."""
    yield Notification(START, "CacheComplete", "5 images are on 3 nodes.")
    yield Notification(START + timedelta(minutes=42), "CacheChanged", "Image java was added.")
    failed = "java is not on 3 nodes: ImagePullBackOff: not found."
    yield Notification(START + timedelta(minutes=43), "ImageFailed", failed, warning=True)


def healthy() -> Health:
    """Return the health of a keeper that does its work."""
    return Health(time.monotonic, 3600.0, time.monotonic(), settings_problem="", reconcile_problem="")


@contextmanager
def served(board: PageState, health: Health | None = None, port: int = 0) -> Iterator[str]:
    """Serve a board as a keeper does; give the address."""
    listening = socket.create_server(("127.0.0.1", port))
    server = serve_on(listening, application(health or healthy(), Metrics(), board))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        end(server)
