"""Images that one test needs, made byte by byte: fresh ones, ill ones."""

import os
import tempfile
from pathlib import Path
from uuid import uuid4

from machine import ARCHITECTURE, push_image
from ociimage import Image, broken_layer, layer_of_size, write_layout

OTHERS = [name for name in ("arm64", "s390x", "amd64") if name != ARCHITECTURE][:2]


def fresh_image(size: int = 1000) -> str:
    """Push an image of `size` bytes that no node has ever seen; return its reference."""
    name = f"fresh-{uuid4().hex[:8]}"
    return _push(name, Image((layer_of_size(size, name),), architecture=ARCHITECTURE))


def ill_image(kind: str) -> str:
    """Return the reference of an image that cannot be cached, for one of the reasons in ILLS."""
    return ILLS[kind]()


def move_tag(reference: str, size: int = 1000) -> None:
    """Push another image under the same reference."""
    name = reference.partition("/demo/")[2].rpartition(":")[0]
    _push(
        name,
        Image((layer_of_size(size, uuid4().hex),), architecture=ARCHITECTURE),
        tag=reference.rpartition(":")[2],
    )


def moving_image() -> str:
    """Push an image under the tag `latest`; return its reference."""
    name = f"moving-{uuid4().hex[:8]}"
    return _push(name, Image((layer_of_size(1000, name),), architecture=ARCHITECTURE), tag="latest")


def _unknown() -> str:
    return f"{fresh_image().rpartition(':')[0]}:9.9.9"


def _of_another_architecture() -> str:
    name = f"foreign-{uuid4().hex[:8]}"
    return _push(name, *(Image((layer_of_size(1000, name),), architecture=other) for other in OTHERS))


def _broken() -> str:
    name = f"broken-{uuid4().hex[:8]}"
    return _push(name, Image((broken_layer(name),), architecture=ARCHITECTURE))


def _private() -> str:
    return f"{os.environ['PRIVATE_REGISTRY']}/{fresh_image().partition('/')[2]}"


ILLS = {
    "unknown tag": _unknown,
    "other architecture": _of_another_architecture,
    "broken layer": _broken,
    "refused credentials": _private,
}


def _push(name: str, *images: Image, tag: str = "1.0.0") -> str:
    with tempfile.TemporaryDirectory() as folder:
        write_layout(Path(folder), *images)
        return push_image(f"demo/{name}:{tag}", Path(folder))
