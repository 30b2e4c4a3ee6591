"""A node whose small disk is nearly full, so that its kubelet collects images, while other tests run.

A kubelet looks at its images when it starts, and every 5 minutes then; an image goes when nothing uses it and
an earlier look has seen it. So the images are brought first, and then the kubelet is started again: its first
look sees them, the next one collects.
"""

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ociimage import Image, layer_of_size, write_layout
from realcluster import (
    CONFIGMAP,
    KIP_RULES,
    LOGS,
    Keeper,
    container,
    eventually,
    get,
    hack,
    images_on,
    kubeconfig_for,
    kubectl,
    kubelet_of,
    new_namespace,
    pod,
    registry,
    running_containers,
    write_list,
)

NODE = "full-disk"
RESERVED_FOR = "image-gc"
DISK = "200M"
MEBIBYTE = 2**20


@dataclass(frozen=True)
class ImageGc:
    """What was on the node when its kubelet was started, at `since` (by the monotonic clock)."""

    namespace: str
    node: str
    pinned: dict[str, str]
    """Container name to reference of the images in the cache."""

    dropped: str
    """An image that was in the cache, and then in the list no more."""

    unlisted: str
    """An image that a pod brought, which has ended."""

    since: float


@contextmanager
def full_disk() -> Iterator[ImageGc]:
    """Make the node, with a keeper that keeps images on it; all ends with the context."""
    there = json.loads(hack("cluster", "status", "-o", "json"))["nodes"]
    if any(node["name"] == NODE for node in there):  # a killed run left it
        hack("cluster", "node", "remove", NODE)
    hack("cluster", "node", "add", "--disk", DISK, "--reserve", RESERVED_FOR, NODE)
    namespace = new_namespace(f"image-gc-{uuid4().hex[:4]}")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            yield from _with_images(namespace, Path(scratch))
    finally:
        hack("cluster", "node", "remove", NODE)
        kubectl("delete", "namespace", namespace, "--wait=false")


def _with_images(namespace: str, scratch: Path) -> Iterator[ImageGc]:
    # A node stores an image twice, packed and unpacked: these two alone fill more than GC allows.
    pinned = {
        "by-tag": _push(scratch, "by-tag", 10),
        "by-digest": _push(scratch, "by-digest", 10, digest=True),
    }
    dropped, unlisted = _push(scratch, "dropped", 20), _push(scratch, "unlisted", 20)
    with _keeper(namespace, scratch):
        _keep(namespace, pinned | {"dropped": dropped})
        _keep(namespace, pinned)
        _bring(namespace, unlisted)
        missing = {*pinned.values(), dropped, unlisted} - images_on(NODE)
        assert not missing, missing
        os.kill(kubelet_of(NODE), signal.SIGTERM)
        eventually(lambda: not kubelet_of(NODE), "the kubelet's end", seconds=10)
        since = time.monotonic()
        hack("cluster", "node", "start", NODE)
        yield ImageGc(namespace, NODE, pinned, dropped, unlisted, since)


def _push(scratch: Path, name: str, mebibytes: int, *, digest: bool = False) -> str:
    """Push an image of that size; return its reference by tag, or by digest."""
    found = write_layout(scratch / name, Image((layer_of_size(mebibytes * MEBIBYTE, name),)))
    reference = hack("cluster", "image", "push", f"gc/{name}:1", str(scratch / name)).strip()
    return f"{reference.removesuffix(':1')}@{found}" if digest else reference


def _keeper(namespace: str, scratch: Path) -> Keeper:
    folder = LOGS / namespace
    folder.mkdir(parents=True)
    values = {
        "KIP_IMAGE": f"{registry()}/kip-sleep:dev",
        "CONFIGMAP_NAME": CONFIGMAP,
        "NODE_SELECTOR": f"kip.dev/test={RESERVED_FOR}",
        "TOLERATIONS": f"[{{key: kip.dev/test, value: {RESERVED_FOR}}}]",
    }
    return Keeper(namespace, kubeconfig_for(namespace, KIP_RULES, scratch), folder / "keeper.log", values)


def _keep(namespace: str, images: dict[str, str]) -> None:
    """Let the cache hold these images, and wait until it does."""
    write_list(namespace, images)
    wanted = {(NODE, name) for name in images}
    eventually(lambda: running_containers(namespace) == wanted, f"a cache of {', '.join(images)}")


def _bring(namespace: str, image: str) -> None:
    """Bring an image to the node by a pod that ends: there is no such program in it."""
    main = {**container(image.removeprefix(f"{registry()}/")), "command": ["/none"]}
    pod(namespace, "passing", NODE, main, restart="Never")

    def ended() -> bool:
        return get("pod", "passing", namespace=namespace)["status"]["phase"] == "Failed"

    eventually(ended, "the end of the pod")
    kubectl("-n", namespace, "delete", "pod", "passing")
