"""The page's document has what the matrix has."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_scenes import LOST, NO_ROOM, NOT_FOUND, few, make_matrix, thousands

from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix, with_podless
from kip.core.status.page_document import MESSAGE_LENGTH, MESSAGES_OF_FAULT, MESSAGES_TOLD, page_document

WORDS = st.sampled_from(["", "ErrImagePull", "Unschedulable", "<b>", "\u202e"])


def _some_cells(data, nodes: list[str], images: list[tuple[str, str]]) -> tuple[Cell, ...]:
    return tuple(
        Cell(
            node,
            name,
            image,
            data.draw(st.sampled_from(ImageState)),
            reason=data.draw(WORDS),
            message=data.draw(WORDS),
            digest=data.draw(WORDS),
        )
        for name, image in images
        for node in nodes
    )


def decoded(document: dict) -> set[Cell]:
    """Return the cells as a reader of the document finds them."""
    cells = set()
    for node, row in zip(document["nodes"], document["row"], strict=True):
        for image, kind in zip(document["images"], document["rows"][row], strict=True):
            state, fault, message, digest = image["kinds"][kind]
            reason = document["faults"][fault]["reason"] if fault >= 0 else ""
            word = ImageState(document["states"][state])
            cells.add(Cell(node, image["name"], image["image"], word, reason, message, digest))
    return cells


def nodes_of(document: dict, fault: int) -> list[str]:
    rows = [
        number
        for number, row in enumerate(document["rows"])
        if any(document["images"][image]["kinds"][kind][1] == fault for image, kind in enumerate(row))
    ]
    return [node for node, row in zip(document["nodes"], document["row"], strict=True) if row in rows]


@given(st.data())
def test_every_cell_is_found_again(data):
    nodes = data.draw(st.lists(st.text(), unique=True, max_size=5))
    names = data.draw(st.lists(st.text(), unique=True, max_size=4))
    cells = _some_cells(data, nodes, [(name, f"registry.example/{name}") for name in names])
    document = page_document(Matrix("n", "d", 1, Progress(5, 5, 5, current=True), tuple(nodes), cells))
    if names and nodes:
        assert decoded(document) == set(cells)
    for number, fault in enumerate(document["faults"]):
        assert len(nodes_of(document, number)) == fault["nodes"] > 0


def test_nodes_that_are_alike_share_a_row():
    document = page_document(make_matrix(1000, 5))
    assert (len(document["rows"]), set(document["row"])) == (1, {0})


def test_a_reason_that_all_images_of_a_node_have_is_the_nodes():
    document = page_document(make_matrix(3, 4, lambda node, _: NO_ROOM if node == 1 else None))
    (fault,) = document["faults"]
    assert (fault["image"], fault["reason"], fault["nodes"]) == (None, "Unschedulable", 1)


def test_a_reason_of_one_image_is_the_images():
    document = page_document(few())
    (fault,) = document["faults"]
    assert (document["images"][fault["image"]]["name"], fault["nodes"]) == ("java", 3)


def test_what_has_failed_comes_before_what_is_absent_and_that_before_what_waits():
    faults = {0: LOST, 1: LOST, 2: NO_ROOM}

    def fault(node: int, image: int):
        return NOT_FOUND if (node, image) == (3, 0) else faults.get(node)

    states = [fault["state"] for fault in page_document(make_matrix(5, 2, fault))["faults"]]
    assert [list(ImageState)[state] for state in states] == [
        ImageState.FAILED,
        ImageState.ABSENT,
        ImageState.WAITING,
    ]


def test_of_messages_that_all_differ_the_first_are_told():
    document = page_document(
        make_matrix(
            MESSAGES_TOLD + 50, 1, lambda node, _: (ImageState.FAILED, "ErrImagePull", f"port {node}")
        )
    )
    messages = {kind[2] for kind in document["images"][0]["kinds"]}
    assert (len(messages), "" in messages) == (MESSAGES_TOLD + 1, True)
    (fault,) = document["faults"]
    assert (fault["nodes"], len(fault["messages"])) == (MESSAGES_TOLD + 50, MESSAGES_OF_FAULT)


def test_a_long_message_is_cut():
    document = page_document(make_matrix(1, 1, lambda *_: (ImageState.FAILED, "ErrImagePull", "x" * 10_000)))
    assert len(document["faults"][0]["messages"][0][0]) == MESSAGE_LENGTH + 1


@pytest.mark.parametrize(
    ("matrix", "state"),
    [
        (make_matrix(3, 2), "complete"),
        (few(), "failing"),
        (make_matrix(3, 2, lambda *_: (ImageState.WAITING, "", "")), "filling"),
        (Matrix("n", "d", 1, Progress(0, 0, 0, current=True), (), ()), "no matching nodes"),
        (Matrix("n", "d", 2, Progress(3, 3, 3, current=False), (), ()), "counting"),
    ],
)
def test_the_state_is_one_word(matrix, state):
    assert page_document(matrix)["state"] == state


def test_a_node_is_as_it_is_since_its_newest_container():
    document = page_document(make_matrix(2, 2))
    assert document["since"] == ["2026-11-21T08:00:00+00:00", "2026-11-21T08:00:01+00:00"]


def test_thousands_of_nodes_have_few_rows():
    assert len(page_document(thousands())["rows"]) < 300


def test_passwords_are_left_out():
    said = (ImageState.FAILED, "ErrImagePull", "proxyconnect http://me:hunter2@proxy.example: refused")
    assert "hunter2" not in str(page_document(make_matrix(1, 1, lambda *_: said)))


def test_the_kubelets_two_words_for_one_trouble_are_one_fault():
    words = ["ErrImagePull", "ImagePullBackOff"]
    document = page_document(
        make_matrix(4, 2, lambda node, image: image and (ImageState.FAILED, words[node % 2], "no"))
    )
    assert [(fault["reason"], fault["nodes"]) for fault in document["faults"]] == [("ErrImagePull", 4)]


def test_nodes_without_a_pod_are_told_with_what_refuses_it():
    matrix = replace(make_matrix(2, 2), progress=Progress(3, 2, 2, current=True))
    document = page_document(with_podless(matrix, ["node0000", "node0001", "other"], "exceeded quota: q"))
    (fault,) = document["faults"]
    assert (document["nodes"][-1], nodes_of(document, 0)) == ("other", ["other"])
    assert (fault["reason"], fault["image"], fault["nodes"]) == ("FailedCreate", None, 1)


def test_nodes_without_a_pod_that_are_not_known_by_name_are_counted():
    matrix = replace(make_matrix(2, 2), progress=Progress(5, 2, 2, current=True), refused="exceeded quota: q")
    document = page_document(matrix)
    (fault,) = document["faults"]
    assert (document["state"], fault["reason"], fault["nodes"]) == ("failing", "FailedCreate", 3)
    assert fault["remedy"].startswith("Raise the quota")
