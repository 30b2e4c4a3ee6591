"""Whether a wait for images is over, from one look at the cache."""

from dataclasses import replace

import pytest
from samples import manifest, settings, stored

from kip.config.images import CacheImage
from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.excluded_nodes import ExcludedNode
from kip.core.status.matrix import Matrix
from kip.core.status.wait_condition import (
    Goal,
    NotListed,
    Observation,
    Result,
    environment_of,
    is_lasting,
    judge,
    not_yet_taken,
)

TOOLS = CacheImage("tools", "registry.example/tools:1.4.2")
IDE = CacheImage("ide", "ide:next")
CACHED, PULLING, FAILED = ImageState.CACHED, ImageState.PULLING, ImageState.FAILED
GONE = "manifest unknown"


def cell(entry: CacheImage, node: str, state: ImageState, reason: str = "", message: str = "") -> Cell:
    if state is FAILED:
        reason, message = reason or "ErrImagePull", message or GONE
    return Cell(node, entry.name, entry.image, state, reason, message)


def look(tools=(CACHED, CACHED), ide=(CACHED, CACHED), *, wanted=None, current=True, **values) -> Observation:
    """Return a look at two images on nodes n0, n1, ... that are in these states."""
    cells = [cell(TOOLS, f"n{place}", state) for place, state in enumerate(tools)]
    cells += [cell(IDE, f"n{place}", state) for place, state in enumerate(ide)]
    count = len(tools) if wanted is None else wanted
    nodes = tuple(f"n{place}" for place in range(len(tools)))
    matrix = Matrix("images", "cache", 1, Progress(count, count, count, current), nodes, tuple(cells))
    return Observation(matrix, **{"held": (TOOLS, IDE), **values})


def test_it_is_reached_when_every_image_is_on_every_node():
    assert judge(Goal(), look()).result is Result.REACHED


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(Observation(None), id="no cache yet"),
        pytest.param(look(ide=(CACHED, PULLING)), id="an image is being pulled"),
        pytest.param(look(ide=(CACHED, FAILED)), id="an image failed, and may come"),
        pytest.param(look(current=False), id="the status speaks of an older list"),
        pytest.param(look(wanted=3), id="a node has no pod yet"),
        pytest.param(look((), ()), id="no node matches"),
        pytest.param(look(pending="IMAGES"), id="an edit is not taken"),
        pytest.param(look(refused="IMAGES: no list"), id="an edit is refused"),
        pytest.param(look(nodes=frozenset({"n0", "new"})), id="a chosen node has no pod yet"),
        pytest.param(look(nodes=frozenset()), id="no chosen node"),
    ],
)
def test_it_is_open_while_it_is_not_certain(found):
    assert judge(Goal(), found).result is Result.OPEN


@pytest.mark.parametrize(
    ("goal", "result"),
    [
        (Goal(), Result.OPEN),
        (Goal(fail_fast=True), Result.FAILED),
        (Goal(("ide",)), Result.REACHED),
    ],
    ids=["all", "fail fast", "others"],
)
def test_an_entry_that_is_left_out_is_not_there(goal, result):
    assert judge(goal, look(left_out=("IMAGES[3]: is no image",))).result is result


def test_who_asks_for_an_image_that_is_there_waits_for_no_other_entry():
    assert judge(Goal(("ide",)), look(pending="IMAGES")).result is Result.REACHED


def test_an_image_whose_entry_was_edited_is_waited_for():
    newer = (TOOLS, CacheImage("ide", "ide:newer"))
    assert judge(Goal(("ide",)), look(pending="IMAGES", listed=newer)).result is Result.OPEN


def test_a_node_that_is_selected_no_more_makes_up_for_none():
    found = look((CACHED,) * 3, (CACHED,) * 3)
    progress = Progress(3, 3, 3, current=True, misplaced=1)
    found = replace(found, matrix=replace(found.matrix, progress=progress))
    assert judge(Goal(), found).result is Result.OPEN


def test_no_node_is_enough_only_for_who_asks_for_it():
    assert judge(Goal(allow_none=True), look((), ())).result is Result.REACHED


def test_no_node_is_never_enough_while_they_are_counted():
    assert judge(Goal(allow_none=True), look((), (), current=False)).result is Result.OPEN


@pytest.mark.parametrize("text", ["ide", "ide:next", "docker.io/library/ide:next"])
def test_an_image_is_known_by_name_and_by_any_form_of_its_reference(text):
    found = judge(Goal((text,)), look(tools=(PULLING, PULLING)))
    assert (found.result, found.there, found.wanted) == (Result.REACHED, 2, 2)


def test_an_image_that_is_not_listed_is_an_error_that_names_the_list():
    with pytest.raises(NotListed, match="other:1") as error:
        judge(Goal(("other:1",)), look())
    assert "tools=registry.example/tools:1.4.2, ide=ide:next" in error.value.hint


def test_an_image_that_the_newest_list_has_is_waited_for():
    new = CacheImage("new", "new:1")
    found = look(listed=(TOOLS, IDE, new), pending="IMAGES")
    assert judge(Goal(("new:1",)), found).result is Result.OPEN


def test_an_image_that_was_just_taken_off_the_list_is_an_error():
    with pytest.raises(NotListed):
        judge(Goal(("ide",)), look(listed=(TOOLS,), pending="IMAGES"))


def test_only_the_chosen_nodes_count():
    found = look(ide=(CACHED, PULLING), nodes=frozenset({"n0"}))
    assert judge(Goal(), found).result is Result.REACHED


@pytest.mark.parametrize(("percent", "result"), [(75, Result.REACHED), (76, Result.OPEN)])
def test_each_image_has_to_be_on_its_share_of_the_nodes(percent, result):
    found = look((CACHED,) * 4, (CACHED, CACHED, CACHED, PULLING))
    assert judge(Goal(percent=percent), found).result is result


def test_a_share_is_never_rounded_down():
    found = look((CACHED,) * 3, (CACHED, CACHED, PULLING))
    assert judge(Goal(percent=67), found).result is Result.OPEN


def test_a_lasting_failure_is_the_end_for_who_asks_for_it():
    found = judge(Goal(fail_fast=True), look(ide=(CACHED, FAILED)))
    assert (found.result, found.why) == (Result.FAILED, "a retry does not cure ide")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(look(ide=(FAILED, FAILED), pending="IMAGES"), id="an edit may be the cure"),
        pytest.param(look(ide=(FAILED, FAILED), current=False), id="it is not seen yet"),
        pytest.param(look(ide=(CACHED, PULLING)), id="nothing failed"),
    ],
)
def test_a_failure_is_not_called_certain_too_early(found):
    assert judge(Goal(fail_fast=True), found).result is Result.OPEN


def test_refused_settings_are_the_end_for_who_asks_for_it():
    assert judge(Goal(fail_fast=True), look(refused="IMAGES: no list")).result is Result.FAILED


def test_failures_that_leave_enough_nodes_are_not_the_end():
    found = look((CACHED,) * 4, (CACHED, CACHED, PULLING, FAILED))
    assert judge(Goal(percent=75, fail_fast=True), found).result is Result.OPEN


def test_a_failure_of_an_image_that_is_not_asked_for_is_not_the_end():
    assert (
        judge(Goal(("tools",), fail_fast=True), look((CACHED, PULLING), (FAILED,) * 2)).result is Result.OPEN
    )


@pytest.mark.parametrize(
    ("reason", "message", "lasting"),
    [
        ("ErrImagePull", "failed to resolve reference: example/gone:1: not found", True),
        ("ImagePullBackOff", "Back-off pulling image: ErrImagePull: 401 Unauthorized", True),
        ("ErrImagePull", "no match for platform in manifest", True),
        ("InvalidImageName", "", True),
        ("CrashLoopBackOff", "", True),
        ("ImagePullBackOff", "Back-off pulling image", False),
        ("ErrImagePull", "dial tcp 10.0.0.1:5000: connect: connection refused", False),
        ("ErrImagePull", "503 Service Unavailable", False),
        ("ErrImagePull", "token denied: 429 Too Many Requests", False),
        ("OOMKilled", "", False),
    ],
)
def test_lasting_is_what_no_retry_cures(reason, message, lasting):
    assert is_lasting(cell(IDE, "n0", FAILED, reason, message or " ")) is lasting


def test_a_wait_for_a_place_is_no_lasting_failure():
    assert not is_lasting(cell(IDE, "n0", ImageState.ABSENT, "Unschedulable", "not found"))


def test_a_node_without_a_pod_is_told_as_missing():
    found = judge(Goal(("ide",)), look(nodes=frozenset({"n0", "new"})))
    assert [(each.node, each.state, each.reason) for each in found.missing] == [
        ("new", ImageState.ABSENT, "NoPod")
    ]


def tainted(*taints: str, **values) -> Observation:
    """Return a look at nodes n0, that has all, and gpu1, that these taints leave out."""
    found = look((CACHED,), (CACHED,), nodes=frozenset({"n0", "gpu1"}), **values)
    return replace(found, matrix=replace(found.matrix, left_out=(ExcludedNode("gpu1", taints),)))


STANDING, PASSING = "pool=gpu:NoSchedule", "node.kubernetes.io/not-ready:NoSchedule"


@pytest.mark.parametrize(
    ("taints", "reason", "lasting"),
    [
        ((STANDING,), "UntoleratedTaint", True),
        ((STANDING, PASSING), "UntoleratedTaint", True),
        ((PASSING,), "NodeNotReady", False),
    ],
)
def test_a_chosen_node_that_a_taint_leaves_out_is_missing_and_for_certain_if_the_taint_stays(
    taints, reason, lasting
):
    found = judge(Goal(("ide",), fail_fast=True), tainted(*taints))
    assert [(each.node, each.state, each.reason) for each in found.missing] == [
        ("gpu1", ImageState.ABSENT, reason)
    ]
    assert (found.result, found.there, found.wanted) == (Result.FAILED if lasting else Result.OPEN, 1, 2)


def test_without_fail_fast_a_taint_may_yet_be_taken_away():
    assert judge(Goal(), tainted(STANDING)).result is Result.OPEN


def test_an_edit_of_the_tolerations_that_is_not_taken_yet_may_be_the_cure_of_a_taint():
    found = tainted(STANDING, pending="TOLERATIONS")
    assert judge(Goal(fail_fast=True), found).result is Result.OPEN


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        ({}, ""),
        ({"images": "tools=registry.example/tools:1.4.3"}, "IMAGES"),
        ({"NODE_SELECTOR": '{"pool": "a"}'}, "NODE_SELECTOR"),
        ({"AFFINITY": '{"nodeAffinity": {}}'}, "AFFINITY"),
        ({"TOLERATIONS": '[{"operator": "Exists"}]'}, "TOLERATIONS"),
        ({"CACHING_CPU_LIMIT": "1"}, ""),
    ],
)
def test_an_edit_that_the_cache_does_not_show_is_named(edit, place):
    assert not_yet_taken(stored(manifest()), settings(**edit)) == place


def test_a_list_in_another_order_is_the_same_list():
    first, second = "tools=registry.example/tools:1.4.2", "ide=registry.example/ide:next"
    assert not_yet_taken(stored(manifest(f"{first};{second}")), settings(f"{second};{first}")) == ""


def test_a_deployments_variables_and_the_configmaps_that_it_takes_whole_are_read():
    container = {
        "env": [{"name": "IMAGES", "value": "a=a:1"}, {"name": "SECRET", "valueFrom": {}}],
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "other"}}],
    }
    found = environment_of({"spec": {"template": {"spec": {"containers": [container]}}}})
    assert found == ({"IMAGES": "a=a:1"}, ("settings",))


def test_the_counts_are_of_what_is_asked_for():
    found = judge(Goal(), look(ide=(CACHED, PULLING)))
    assert (found.there, found.wanted, found.nodes, len(found.missing)) == (3, 4, 2, 1)
