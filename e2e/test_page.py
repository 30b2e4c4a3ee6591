"""The page of a keeper on the real cluster, and `kip status --open` beside it."""

import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from urllib.request import urlopen

import pytest
from images import fresh_image, ill_image
from realcluster import CONFIGMAP, KIP, KIP_RULES, UPSTREAM_RULES, eventually, nodes, write_list

WITHIN_SECONDS = 90
"""Pulling comes first, and the kubelets may be busy with other tests."""


def read(url: str) -> tuple[dict[str, str], bytes]:
    with urlopen(url, timeout=5) as answer:  # noqa: S310 - plain http to ourselves
        return dict(answer.headers), answer.read()


def document(url: str) -> dict:
    with suppress(OSError):
        return json.loads(read(f"{url}page.json")[1])
    return {"matrix": None, "unknown": ""}


def counts(url: str) -> dict[str, dict[str, int]]:
    """Return for each image on how many nodes it is in which state."""
    matrix = document(url)["matrix"] or {"images": [], "states": []}
    return {
        image["name"]: dict(zip(matrix["states"], image["counts"], strict=True)) for image in matrix["images"]
    }


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_keeper_serves_the_page_of_a_bad_image_and_of_its_cure(namespace, deployment, keeper, port):
    good, bad, cure = fresh_image(), ill_image("unknown tag"), fresh_image()
    write_list(namespace, {"good": good, "bad": bad})
    count, url = len(nodes()), f"http://127.0.0.1:{port}/"
    settings = {"CONFIGMAP_NAME": CONFIGMAP, "DEPLOYMENT_NAME": deployment}
    with keeper(KIP_RULES, **settings, HTTP_ADDRESS=f"127.0.0.1:{port}"):
        eventually(
            lambda: (
                (counts(url).get("good", {}).get("cached"), counts(url).get("bad", {}).get("failed"))
                == (count, count)
            ),
            "the good image cached and the bad one failed, on the page",
            seconds=WITHIN_SECONDS,
        )
        headers, html = read(url)
        assert b'<script type="module" src="page/main.js">' in html
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        found = document(url)
        assert found["problems"] == {}
        assert {fault["remedy"] for fault in found["matrix"]["faults"]} == {
            "Correct the reference in IMAGES, or push the image."
        }
        write_list(namespace, {"good": good, "bad": cure})
        eventually(
            lambda: (document(url)["matrix"] or {}).get("state") == "complete",
            "the cure on the page",
            seconds=WITHIN_SECONDS,
        )


def test_without_the_right_to_list_pods_the_page_says_so(namespace, deployment, keeper, port):
    url = f"http://127.0.0.1:{port}/"
    settings = {"IMAGES": fresh_image(), "DEPLOYMENT_NAME": deployment}
    with keeper(UPSTREAM_RULES, **settings, HTTP_ADDRESS=f"127.0.0.1:{port}"):
        eventually(lambda: "grant get and list on pods" in document(url)["unknown"], "the missing right")


def test_the_page_is_served_on_a_laptop_until_it_is_interrupted(namespace, deployment, keeper):
    with keeper(KIP_RULES, IMAGES=f"good={fresh_image()}", DEPLOYMENT_NAME=deployment):
        waited = subprocess.run([KIP, "wait", "-n", namespace, "--timeout", "90s"], check=False)
        assert waited.returncode == 0
        process = subprocess.Popen(
            [KIP, "status", "-n", namespace, "--open"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "BROWSER": "true"},
        )
        with process:
            url = process.stdout.readline().split()[4]
            eventually(
                lambda: counts(url).get("good", {}).get("cached") == len(nodes()), "the page", seconds=30
            )
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()
