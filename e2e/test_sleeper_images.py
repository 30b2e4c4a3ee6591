"""The one init-container command works with each image that KIP_IMAGE may name."""

import shutil
import subprocess
from pathlib import Path

import pytest
from machine import install_missing, push_image
from ociimage import Entry, Image, layer_of, write_layout
from realcluster import KIP_RULES, eventually, get, hack, registry

UPSTREAM_SLEEP = """package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sleep DURATION")
		os.Exit(255)
	}
	duration, err := time.ParseDuration(os.Args[1])
	if err != nil {
		os.Exit(255)
	}
	time.Sleep(duration)
}
"""


@pytest.fixture(scope="session")
def upstream_image(tmp_path_factory) -> str:
    """An image with what upstream's has: a shell, cp, and a sleep in Go that knows nothing but a duration."""
    folder: Path = tmp_path_factory.mktemp("upstream")
    (folder / "main.go").write_text(UPSTREAM_SLEEP, "utf-8")
    (folder / "go.mod").write_text("module sleep\n\ngo 1.26\n", "utf-8")
    subprocess.run(
        ["go", "build", "-o", "sleep", "."],
        cwd=folder,
        check=True,
        env={
            "PATH": f"{Path(shutil.which('go')).parent}:/usr/bin:/bin",
            "CGO_ENABLED": "0",
            "HOME": str(folder),
        },
    )
    install_missing(busybox="busybox-static")
    busybox = Path(shutil.which("busybox")).read_bytes()
    layer = layer_of(
        Entry("bin", directory=True, mode=0o755),
        Entry("bin/busybox", busybox, 0o755),
        Entry("bin/sh", link_to="busybox"),
        Entry("bin/cp", link_to="busybox"),
        Entry("bin/sleep", (folder / "sleep").read_bytes(), 0o755),
    )
    write_layout(folder / "image", Image((layer,), user="appuser"))
    return push_image("e2e/upstream-puller:next", folder / "image")


@pytest.fixture(params=["the tiny sleeper", "the keeper", "upstream's"])
def kip_image(request) -> str:
    if request.param == "upstream's":
        return request.getfixturevalue("upstream_image")
    return f"{registry()}/{'kip' if request.param == 'the keeper' else 'kip-sleep'}:dev"


def test_a_scratch_image_is_kept_with_any_of_the_images(namespace, deployment, keeper, kip_image):
    hack("demo-images")
    image = f"{registry()}/demo/scratch:1"
    with keeper(KIP_RULES, IMAGES=f"scratch={image}", KIP_IMAGE=kip_image, DEPLOYMENT_NAME=deployment):
        ready = eventually(lambda: all_ready(namespace), "running pods", seconds=90)
    assert ready


def all_ready(namespace: str) -> bool:
    found = get("daemonset", "kubernetes-image-puller", namespace=namespace)
    status = (found or {}).get("status", {})
    return 0 < status.get("desiredNumberScheduled", 0) == status.get("numberReady", 0)
