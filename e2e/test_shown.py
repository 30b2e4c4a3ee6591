"""Whatever keeps an image from a node is seen in status, metrics, Events and page, and so is its end."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from images import fresh_image, ill_image
from prometheus_client.parser import text_string_to_metric_families
from realcluster import (
    CONFIGMAP,
    KIP,
    KIP_RULES,
    TOP,
    apply,
    command,
    eventually,
    get,
    kubectl,
    nodes,
    write_list,
)

SOON = 60.0
"""Seconds; on a quiet machine 10 are enough (docs/status.md has what was measured)."""


@dataclass
class Surfaces:
    """The four places where a keeper's users look: what they tell of the image `bad`, or of its nodes."""

    namespace: str
    port: int

    def status(self) -> dict[str, str]:
        """Return state and reason of the image on each node, and what to do, as `kip status` shows it."""
        text = command(str(KIP), "status", "-n", self.namespace, "-o", "json", check=False)
        return {
            cell["node"]: f"{cell['state']} {cell['reason']}: {cell['message']}"
            for cell in json.loads(text)["cells"]
            if cell["name"] == "bad"
        }

    def remedy(self) -> str:
        return command(str(KIP), "status", "-n", self.namespace, check=False)

    def metrics(self, state: str) -> float:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "kip_cells"
            and sample.labels == {**sample.labels, "name": "bad", "state": state}
        )

    def events(self, reason: str) -> list[str]:
        """Return the notes of the Events that tell of it."""
        found = get("events.events.k8s.io", namespace=self.namespace)
        return [
            event["note"]
            for event in found
            if event["reason"] == reason and event["reportingController"] == "kip.dev/keeper"
        ]

    def page(self) -> list[str]:
        """Return the faults that the page shows, with their remedies."""
        with urlopen(f"http://127.0.0.1:{self.port}/page.json", timeout=5) as answer:
            document = json.load(answer)
        faults = (document["matrix"] or {"faults": []})["faults"]
        return [
            f"{fault['reason']}: {said[0]} {fault['remedy']}"
            for fault in faults
            for said in fault["messages"]
        ]


@pytest.fixture
def shown(namespace, deployment, keeper, port):
    """Run a keeper with a good image and the ill one, or with other settings; give what it shows."""
    with keeper(
        KIP_RULES,
        CONFIGMAP_NAME=CONFIGMAP,
        DEPLOYMENT_NAME=deployment,
        HTTP_ADDRESS=f"127.0.0.1:{port}",
    ):
        yield Surfaces(namespace, port)


def soon(look: Callable[[], bool], what: str) -> float:
    """Wait until it is so; return after how many seconds. What cannot be read yet is not so yet."""
    began = time.monotonic()

    def seen() -> bool:
        with suppress(OSError, ValueError, KeyError):
            return look()
        return False

    eventually(seen, what, seconds=SOON)
    return time.monotonic() - began


def sees(
    shown: Surfaces, words: str, remedy: str, *, state: str = "failed", reason: str = "ImageFailed"
) -> None:
    """Wait until each of the four tells it, with what to do."""
    count = len(nodes())
    took = {
        "status": soon(
            lambda: (
                sum(told.startswith(state) and words in told for told in shown.status().values()) == count
            ),
            f"{state} with {words!r} in status",
        ),
        "remedy": soon(lambda: remedy in shown.remedy(), f"{remedy!r} in status"),
        "metrics": soon(lambda: shown.metrics(state) == count, f"{state} in metrics"),
        "events": soon(
            lambda: any(words in note and remedy in note for note in shown.events(reason)),
            f"{words!r} in Events",
        ),
        "page": soon(
            lambda: any(words in fault and remedy in fault for fault in shown.page()),
            f"{words!r} on the page",
        ),
    }
    print("seen after", {place: f"{seconds:.1f} s" for place, seconds in took.items()})


def sees_the_cure(shown: Surfaces, reason: str = "ImageRecovered") -> None:
    """Wait until none of the four tells of trouble any more."""
    count = len(nodes())
    took = {
        "status": soon(
            lambda: [told.split()[0] for told in shown.status().values()] == ["cached"] * count,
            "the cure in status",
        ),
        "metrics": soon(lambda: shown.metrics("cached") == count, "the cure in metrics"),
        "events": soon(lambda: bool(shown.events(reason)), "the cure in Events"),
        "page": soon(lambda: shown.page() == [], "the cure on the page"),
    }
    print("cured after", {place: f"{seconds:.1f} s" for place, seconds in took.items()})


def wait(namespace: str, *arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [KIP, "wait", "-n", namespace, *arguments],
        cwd=TOP,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("ill", "words", "remedy"),
    [
        ("unknown tag", "not found", "Correct the reference in IMAGES"),
        ("other architecture", "no match for platform", "for this node's machine"),
        ("refused credentials", "authorization failed", "IMAGE_PULL_SECRETS"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_seen_everywhere_and_so_is_its_cure(
    namespace, shown, ill, words, remedy
):
    good = fresh_image()
    write_list(namespace, {"good": good, "bad": ill_image(ill)})
    sees(shown, words, remedy)
    code, out = wait(namespace, "--fail-fast", "--timeout", "120s")
    assert (code, "a retry does not cure bad" in out, remedy in out) == (3, True, True)
    assert wait(namespace, "--image", "good", "--timeout", "60s")[0] == 0

    write_list(namespace, {"good": good, "bad": fresh_image()})
    sees_the_cure(shown)
    assert wait(namespace, "--timeout", "60s")[0] == 0


def test_a_container_without_memory_is_seen_everywhere_and_so_is_its_cure(namespace, shown):
    images = {"good": fresh_image(), "bad": fresh_image()}
    limits = {"CACHING_MEMORY_REQUEST": "1Ki", "CACHING_MEMORY_LIMIT": "1Ki"}
    write_list(namespace, images, **limits)
    sees(shown, "OOM", "Raise CACHING_MEMORY_LIMIT")
    code, out = wait(namespace, "--fail-fast", "--timeout", "120s")
    assert (code, "Raise CACHING_MEMORY_LIMIT" in out) == (3, True)

    write_list(namespace, images)
    sees_the_cure(shown)


def test_a_quota_is_seen_everywhere_and_so_is_its_end(namespace, shown):
    apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": namespace},
            "spec": {"hard": {"pods": "0"}},
        }
    )
    eventually(
        lambda: get("resourcequota", "none", namespace=namespace).get("status", {}).get("hard"), "the quota"
    )
    write_list(namespace, {"good": fresh_image(), "bad": fresh_image()})
    sees(shown, "exceeded quota", "Raise the quota", state="absent", reason="NodeNotServed")
    code, out = wait(namespace, "--fail-fast", "--timeout", "5s")
    assert (code, "exceeded quota" in out) == (3, True)

    kubectl("-n", namespace, "delete", "resourcequota", "none")
    sees_the_cure(shown, "NodeServed")
