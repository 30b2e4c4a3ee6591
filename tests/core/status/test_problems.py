"""What keeps images from their nodes, and what to do about it."""

import re
from dataclasses import fields

import pytest

from kip.config.settings import Settings
from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix, with_podless
from kip.core.status.problems import image_problems, image_problems_in
from kip.core.status.remedies import REMEDIES, remedy_for, remedy_of_pull

QUOTA = 'pods "cache-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2'


def failed(node: str, name: str = "ide", reason: str = "ErrImagePull", message: str = "not found") -> Cell:
    return Cell(node, name, f"{name}:1", ImageState.FAILED, reason, message)


def matrix(*cells: Cell, wanted: int = 2, refused: str = "") -> Matrix:
    nodes = tuple(sorted({cell.node for cell in cells}))
    return Matrix("images", "cache", 1, Progress(wanted, wanted, 0, current=True), nodes, cells, (), refused)


def test_one_fault_on_several_nodes_is_one_trouble():
    (found,) = image_problems(matrix(failed("n1"), failed("n2")))
    assert (found.line, found.count) == ("ide on n1, n2: ErrImagePull: not found", 2)


def test_a_pull_that_fails_and_waits_by_turns_is_one_trouble_in_the_word_that_says_why():
    back_off = failed("n2", reason="ImagePullBackOff", message='Back-off pulling image "ide:1"')
    (found,) = image_problems(matrix(back_off, failed("n1")))
    assert (found.reason, found.key, found.nodes) == ("ErrImagePull", ("ErrImagePull", "ide"), ("n2", "n1"))


def test_what_keeps_a_node_from_all_its_images_is_one_trouble():
    cells = [
        Cell("n1", name, f"{name}:1", ImageState.ABSENT, "Unschedulable", "Too many pods") for name in "abcd"
    ]
    (found,) = image_problems(matrix(*cells))
    assert found.line == "4 images on n1: Unschedulable: Too many pods"


def test_an_image_that_is_held_by_a_pod_without_a_successor_is_a_trouble_of_its_node():
    cells = [
        Cell("n1", name, f"{name}:1", ImageState.CACHED, "Unschedulable", "Too many pods") for name in "ab"
    ]
    (found,) = image_problems(matrix(*cells))
    assert (found.failed, found.line) == (False, "a, b on n1: Unschedulable: Too many pods")


def test_each_taint_is_a_trouble_of_its_own_as_it_needs_a_toleration_of_its_own():
    cells = [
        Cell(node, "ide", "ide:1", ImageState.ABSENT, "UntoleratedTaint", taint)
        for node, taint in (("n1", "a=b:NoSchedule"), ("n2", "c:NoExecute"), ("n3", "a=b:NoSchedule"))
    ]
    assert [(found.message, found.nodes) for found in image_problems_in(cells)] == [
        ("a=b:NoSchedule", ("n1", "n3")),
        ("c:NoExecute", ("n2",)),
    ]


def test_failing_images_come_before_nodes_and_the_widest_first():
    away = Cell("n9", "ide", "ide:1", ImageState.WAITING, "NodeNotReady", "")
    found = image_problems(matrix(away, failed("n1", "a"), failed("n1"), failed("n2")))
    assert [(item.reason, item.images) for item in found] == [
        ("ErrImagePull", ("ide",)),
        ("ErrImagePull", ("a",)),
        ("NodeNotReady", ("ide",)),
    ]


def test_a_cached_image_is_no_trouble():
    assert image_problems(matrix(Cell("n1", "ide", "ide:1", ImageState.CACHED))) == ()


def test_nodes_without_a_pod_are_a_trouble_with_the_controllers_words():
    there = Cell("n1", "ide", "ide:1", ImageState.CACHED)
    (found,) = image_problems(matrix(there, wanted=4, refused=QUOTA))
    assert (found.line, found.remedy) == (
        f"ide on 3 nodes: FailedCreate: {QUOTA}",
        "Raise the quota; `kip check` says by how much.",
    )


def test_nodes_without_a_pod_that_are_known_have_cells():
    known = with_podless(matrix(Cell("n1", "ide", "ide:1", ImageState.CACHED)), {"n1", "n2"}, QUOTA)
    (found,) = image_problems(known)
    assert (found.nodes, found.reason, known.counts()["ide", "ide:1"][ImageState.ABSENT]) == (
        ("n2",),
        "FailedCreate",
        1,
    )


def test_nodes_that_are_not_known_are_counted_as_absent():
    assert matrix(failed("n1"), wanted=3).counts()["ide", "ide:1"][ImageState.ABSENT] == 2


@pytest.mark.parametrize(
    ("reason", "message", "remedy"),
    [
        ("ErrImagePull", "pull access denied", "IMAGE_PULL_SECRETS"),
        ("ImagePullBackOff", "manifest unknown", "reference"),
        ("ErrImagePull", "no match for platform in manifest: not found", "machine"),
        ("ErrImagePull", "x509: certificate signed by unknown authority", "trust"),
        ("ErrImagePull", "i/o timeout", "network"),
        ("ErrImagePull", "unexpected status from HEAD request to https://r/v2: 503 Service", "network"),
        ("ErrImagePull", "registry.example/app:1.503: not found", "Correct the reference"),
        ("ErrImagePull", 'image "certificate-tool:403" not found', "Correct the reference"),
        ("ErrImagePull", "write /x: no space left on device", "disk"),
        ("ErrImagePull", "", "network"),
        ("StartError", "container init was OOM-killed (memory limit too low?)", "CACHING_MEMORY_LIMIT"),
        ("OOMKilled", "exit code 137", "CACHING_MEMORY_LIMIT"),
        ("FailedCreatePodSandBox", "container init was OOM-killed", "CACHING_MEMORY_LIMIT"),
        ("FailedCreatePodSandBox", "plugin type=bridge failed", "network plug-in"),
        ("RunContainerError", "exec format error", "webhook"),
        ("Unschedulable", "0/3 nodes are available: 1 Insufficient memory", "CACHING_*_REQUEST"),
        ("Unschedulable", "untolerated taint", "TOLERATIONS"),
        ("OutOfmemory", "", "room"),
        ("NodeNotReady", "", "kubectl describe node"),
        ("NodeNotReady", "left out for as long as it has the taint a/b:NoSchedule", "once the taint is gone"),
        ("UntoleratedTaint", "pool=gpu:NoSchedule", "NODE_SELECTOR"),
        ("FailedCreate", QUOTA, "quota"),
        ("FailedCreate", 'violates PodSecurity "restricted:latest"', "restricted"),
        ("FailedCreate", "unable to validate against any security context constraint", "restricted-v2"),
        ("FailedCreate", "maximum memory usage per Container is 5Mi", "LimitRange"),
    ],
)
def test_a_known_reason_has_a_remedy(reason, message, remedy):
    found = remedy_for(reason, message)
    assert found
    assert remedy in found.text


@pytest.mark.parametrize(
    ("reason", "message", "remedy"),
    [
        ("ErrImagePull", "init container copy-sleep: not found", "--kip-image"),
        ("ErrImagePull", "pull access denied", "--secret"),
        ("ErrImagePull", "i/o timeout", "network"),
        ("Mystery", "something", ""),
    ],
)
def test_a_pull_has_remedies_of_its_own(reason, message, remedy):
    found = remedy_of_pull(reason, message)
    assert (remedy in found, bool(found)) == (True, bool(remedy))


def test_no_remedy_of_a_pull_names_a_setting_of_the_cache():
    names = {field.name.upper() for field in fields(Settings)} - {"KIP_IMAGE"}
    of_others = {"FailedCreate", "Unschedulable", "UntoleratedTaint"}  # a pull needs neither
    rows = [row for row in REMEDIES if row.reason not in of_others]
    texts = [row.text if row.of_pull is None else row.of_pull for row in rows]
    assert [text for text in texts if names & set(re.findall(r"[A-Z_]{4,}", text))] == []


def test_an_unknown_reason_has_none():
    assert remedy_for("Mystery", "something") is None
