"""What the Events of kubelet and controllers tell of a cache."""

from dataclasses import replace

import pytest

from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.kubernetes_events import Pull, newest_refusal, read_pull, with_events, with_unstarted
from kip.core.status.matrix import Matrix

PULLED = (
    'Successfully pulled image "registry.example/ide" in {} (2.3s including waiting). Image size: 1234 bytes.'
)
FAILED = 'Failed to pull image "registry.example/ide:1": rpc error: not found'


def event(message: str, *, pod: str = "cache-x7k2p", at: str = "2026-11-21T08:00:00Z", **more) -> dict:
    about = {"kind": "Pod", "name": pod, "fieldPath": "spec.containers{ide}", "uid": "u1"}
    return {
        "metadata": {"creationTimestamp": at},
        "involvedObject": about,
        "message": message,
        "source": {"component": "kubelet", "host": "n1"},
        "lastTimestamp": at,
        **more,
    }


def one(state: ImageState, reason: str = "") -> Matrix:
    cell = Cell("n1", "ide", "registry.example/ide:1", state, reason)
    return Matrix("images", "cache", 1, Progress(1, 1, 0, current=True), ("n1",), (cell,))


@pytest.mark.parametrize(
    ("text", "seconds"), [("850ms", 0.85), ("1.5s", 1.5), ("1m2.5s", 62.5), ("1h2m3s", 3723.0)]
)
def test_a_pull_has_its_seconds_and_its_size(text, seconds):
    assert read_pull(event(PULLED.format(text)), "cache") == Pull("n1", "ide", pytest.approx(seconds), 1234)


def test_an_older_kubelet_tells_no_size():
    found = read_pull(event('Successfully pulled image "x" in 2s (2s including waiting)'), "cache")
    assert found == Pull("n1", "ide", 2.0, None)


@pytest.mark.parametrize(
    "other",
    [
        event('Container image "x" already present on machine'),
        event(PULLED.format("1s"), pod="other-x7k2p"),
        event(PULLED.format("1s"), pod="cache-net-x7k2p"),
        event(PULLED.format("1s"), involvedObject={"name": "cache-x7k2p"}),
    ],
)
def test_anything_else_is_no_pull_of_the_cache(other):
    assert read_pull(other, "cache") is None


def test_a_cached_image_has_the_figures_of_its_newest_pull():
    events = [
        event(PULLED.format("3s"), at="2026-11-21T08:10:00Z"),
        event(PULLED.format("9s"), at="2026-11-21T08:00:00Z"),
    ]
    (cell,) = with_events(one(ImageState.CACHED), events).cells
    assert (cell.pull_seconds, cell.size) == (3.0, 1234)


@pytest.mark.parametrize(
    ("count", "next_try"), [(1, "08:00:10"), (3, "08:00:40"), (50, "08:05:00"), (5000, "08:05:00")]
)
def test_a_failed_image_has_its_attempts_and_its_next_one(count, next_try):
    (cell,) = with_events(one(ImageState.FAILED, "ErrImagePull"), [event(FAILED, count=count)]).cells
    assert (cell.attempts, cell.next_try) == (count, f"2026-11-21T{next_try}Z")


def test_an_old_failure_says_nothing_of_a_cached_image():
    (cell,) = with_events(one(ImageState.CACHED), [event(FAILED)]).cells
    assert (cell.attempts, cell.next_try) == (0, "")


def test_the_newest_refusal_of_this_daemonset_counts():
    events = [
        event("Error creating: quota", at="2026-11-21T08:00:00Z"),
        event("Error creating: Pod Security", at="2026-11-21T08:10:00Z"),
        event("Error creating: other", at="2026-11-21T08:20:00Z", involvedObject={"uid": "u2"}),
    ]
    assert newest_refusal(events, "u1") == "Pod Security"


def test_without_a_refusal_there_is_nothing_to_say():
    assert newest_refusal([], "u1") == ""


def stuck(state: ImageState) -> Matrix:
    return replace(one(state), unstarted=(("n1", "u1"),))


SANDBOX = event(
    "Failed to create pod sandbox: OOM-killed (memory limit too low?)",
    reason="FailedCreatePodSandBox",
    count=4,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [(ImageState.PULLING, ImageState.FAILED), (ImageState.CACHED, ImageState.CACHED)],
    ids=["new", "held"],
)
def test_a_pod_that_cannot_be_set_up_fails_in_the_kubelets_words(before, after):
    (cell,) = with_unstarted(stuck(before), [SANDBOX]).cells
    assert (cell.state, cell.reason, cell.attempts) == (after, "FailedCreatePodSandBox", 4)


def test_events_of_an_earlier_pod_say_nothing():
    earlier = event("x", reason="FailedCreatePodSandBox", involvedObject={"uid": "u0"})
    assert with_unstarted(stuck(ImageState.PULLING), [earlier]) == stuck(ImageState.PULLING)
