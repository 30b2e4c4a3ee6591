"""Pinned images survive the kubelet's image garbage collection on a full disk; others do not.

The node is made before the first test of a run, and these tests come last: see support/imagegc.py.
"""

import json
import os
import time

import pytest
from realcluster import eventually, get, images_on, kubectl, registry, running_containers

COLLECTED_WITHIN_SECONDS = 420
TOTAL = "kubelet_image_garbage_collected_total"
pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.environ.get("KIP_E2E_CLUSTER") == "kind", reason="kind has no disk to fill"),
]


def collected(node: str) -> float:
    """Return how many images the kubelet has removed for want of space, 0 when it does not answer."""
    lines = kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics", check=False).splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith(TOTAL) and 'reason="space"' in line
    )


@pytest.fixture(scope="module")
def after(image_gc):
    """The images on the node when the kubelet has collected."""
    left = image_gc.since + COLLECTED_WITHIN_SECONDS - time.monotonic()
    eventually(lambda: collected(image_gc.node), "a garbage collection", seconds=left, pause=2)
    print(f"collected {time.monotonic() - image_gc.since:.0f} s after the start of the kubelet, or before")
    eventually(lambda: collected(image_gc.node) == 2, "its end", seconds=20)
    return images_on(image_gc.node)


def test_an_image_that_no_list_names_is_collected(image_gc, after):
    assert image_gc.unlisted not in after


def test_an_image_that_was_dropped_from_the_list_is_collected(image_gc, after):
    assert image_gc.dropped not in after


def test_every_listed_image_is_still_there(image_gc, after):
    assert set(image_gc.pinned.values()) <= after


def test_the_sleeper_s_image_is_still_there(after):
    assert f"{registry()}/kip-sleep:dev" in after


def test_the_kubelet_would_have_taken_more(image_gc, after):
    selector = f"involvedObject.name={image_gc.node},reason=FreeDiskSpaceFailed"
    events = json.loads(kubectl("get", "events", "-A", "-o", "json", f"--field-selector={selector}"))["items"]
    assert any("Failed to free sufficient space" in event["message"] for event in events)


def test_the_containers_that_pin_the_images_run_as_before(image_gc, after):
    assert running_containers(image_gc.namespace) == {(image_gc.node, name) for name in image_gc.pinned}
    pods = get("pods", namespace=image_gc.namespace)
    assert [state["restartCount"] for pod in pods for state in pod["status"]["containerStatuses"]] == [0, 0]
