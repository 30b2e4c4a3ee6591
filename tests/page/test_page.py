"""The status page in a real browser: what people see, and how they get about."""

import socket
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from page_scenes import IMAGES, complete, few, healthy, history, make_matrix, served, thousands
from selenium.webdriver.common.keys import Keys

from kip.cli.page import only_here
from kip.core.rollout.progress import Progress
from kip.core.status.cell import ImageState
from kip.core.status.jobs_view import JobsView, Phase
from kip.core.status.matrix import Matrix
from kip.core.status.notifications import Notification
from kip.observe.http import end, serve_on
from kip.observe.page import Page


def test_three_nodes_are_told_with_what_fails_first(opened):
    page = opened(few())
    assert (page.title, page.text("#headline")) == ("3 nodes failing - kip", "3 nodes failing")
    assert page.texts("#faults summary b, #faults summary bdi, #faults summary code") == [
        "3 nodes",
        "java",
        "ErrImagePull",
    ]
    assert sorted(page.texts("#matrix-rows th")) == ["worker-1", "worker-2", "worker-3"]
    assert page.texts("#matrix-head .cell") == ["ide", "udi", "java", "python", "node", "postgres"]
    assert page.names("#matrix-rows tr:first-child .mark").count("failed: ErrImagePull") == 1
    assert page.texts("#image-rows tr:first-child bdi")[0] == "java"
    assert page.texts("#image-rows .numbers")[:2] == ["0 of 3", "3 of 3"]


def test_a_complete_cache_is_calm(opened):
    page = opened(complete())
    assert (page.title, page.texts("#faults li"), page.texts("#failing")) == ("Complete - kip", [], [])
    assert set(page.names("#matrix-rows .mark")) == {"cached"}


def test_a_fault_tells_its_message_its_remedy_and_its_nodes_on_demand(opened):
    page = opened(few())
    assert page.texts(".remedy") == []
    page.js("document.querySelector('#faults summary').click()")
    page.eventually(lambda: page.texts(".remedy"), "the remedy")
    assert page.text(".remedy") == "What to do: Correct the reference in IMAGES, or push the image."
    assert "failed to resolve reference" in page.text("#faults .messages")
    assert page.texts("#faults .names li") == ["worker-1", "worker-2", "worker-3"]


def test_a_node_tells_each_image_on_demand(opened):
    page = opened(few())
    page.js("document.querySelector('#matrix-rows button').click()")
    assert page.texts(".told tbody tr:first-child code") == ["ErrImagePull"]
    assert any("@sha256:" in text for text in page.texts(".told .reference"))


def test_5000_nodes_with_30_images_are_shown(opened, capsys):
    page = opened(thousands())
    page.eventually(lambda: page.js("return window.shownAt"), "the matrix")
    with capsys.disabled():
        print(f"\n5,000 nodes x 30 images: shown after {page.js('return window.shownAt'):.0f} ms")
    assert "nodes failing" in page.title
    assert page.text("#nodes-note").startswith("5,000 nodes; those that are alike share a row")
    assert page.js("return document.querySelectorAll('*').length") < 6000
    assert page.names("canvas")[0].startswith("5,000 nodes: ")
    assert len(page.texts("#matrix-rows tr")) == 40
    page.js("document.querySelector('#more').click()")
    assert len(page.texts("#matrix-rows tr")) == 80


def test_one_of_5000_nodes_is_found_by_its_name(opened):
    page = opened(thousands())
    page.js("document.querySelector('#find').focus()")
    page.press("ip-10-4-7-77.")
    assert page.texts("#matrix-rows th") == ["ip-10-4-7-77.eu-1.internal"]


def test_a_square_of_the_map_opens_its_node(opened):
    page = opened(thousands())
    page.js(
        "const map = document.querySelector('canvas'), box = map.getBoundingClientRect();"
        "for (const kind of ['pointermove', 'click']) map.dispatchEvent(new PointerEvent(kind,"
        " {clientX: box.left + 3, clientY: box.top + 3, bubbles: true}));"
    )
    (name,) = page.texts("#matrix-rows button")
    assert page.text("#map-text").startswith(f"{name}: ")
    assert (page.focused(), page.texts(".told tbody tr") != []) == (name, True)


def test_nodes_that_are_alike_are_one_row_with_their_names_inside(opened):
    page = opened(make_matrix(50, 2))
    assert page.texts("#matrix-rows button") == ["50 nodes like node0000"]
    page.js("document.querySelector('#matrix-rows button').click()")
    assert len(page.texts("#matrix-rows .names li")) == 50


def test_of_many_names_the_rest_is_shown_when_asked_for(opened):
    page = opened(make_matrix(200, 2))
    page.js("document.querySelector('#matrix-rows button').click()")
    assert page.texts("#matrix-rows .names button") == ["Show all 200"]
    page.js("document.querySelector('#matrix-rows .names button').click()")
    assert len(page.texts("#matrix-rows .names li")) == 200


def test_different_digests_of_one_tag_are_told(opened):
    matrix = make_matrix(3, 1)
    cells = tuple(
        cell
        if cell.node != "node0002"
        else cell.__class__(cell.node, cell.name, cell.image, ImageState.CACHED, digest="other")
        for cell in matrix.cells
    )
    page = opened(Matrix("n", "d", 1, matrix.progress, matrix.nodes, cells))
    assert page.texts(".digests summary") == ["2 different digests"]


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(0, 0, 0, current=True), "No node matches"),
        (Progress(3, 3, 3, current=False), "Nodes are being counted"),
        (Progress(3, 3, 0, current=True), "Filling: 0 %"),
    ],
)
def test_without_cells_it_says_what_goes_on(opened, progress, words):
    assert opened(Matrix("n", "d", 1, progress, (), ())).text("#headline") == words


def test_when_nothing_is_known_it_says_why(opened, board):
    board.hide("the keeper may not list pods")
    page = opened()
    assert (page.text("#headline"), page.text("#verdict")) == (
        "Not known",
        "Nothing is known of the images: the keeper may not list pods.",
    )
    assert page.texts("#known") == []


def test_problems_of_the_keeper_are_told(opened):
    health = healthy()
    health.settings_problem = "AFFINITY='x': no mapping"
    page = opened(few(), health=health)
    assert page.texts("#problems li") == ["settings: AFFINITY='x': no mapping"]


def test_the_last_changes_are_told_newest_first(opened, board):
    for notice in history():
        board.note(notice)
    page = opened(few())
    assert page.texts("#history b") == ["⚠ ImageFailed", "CacheChanged", "CacheComplete"]
    board.note(Notification(datetime(2026, 11, 21, 10, tzinfo=UTC), "CacheComplete", "All there."))
    page.read_again()
    assert page.texts("#history b")[0] == "CacheComplete"


def test_without_changes_it_says_that_nothing_happened(opened):
    assert opened(few()).texts("#past-none") == ["Nothing happened since the keeper was started."]


def test_a_change_appears_by_itself_and_is_announced(opened, board):
    page = opened(few())
    board.show(complete())
    page.eventually(lambda: page.title == "Complete - kip", "the change")
    assert (page.js("return document.querySelector('#announce').textContent"), page.texts("#faults li")) == (
        "Complete",
        [],
    )


def test_while_nothing_changes_nothing_is_sent(opened):
    page = opened(few())
    page.js("performance.clearResourceTimings()")
    page.js("window.row = document.querySelector('#matrix-rows tr')")
    page.read_again()
    answers = page.eventually(
        lambda: page.js("return performance.getEntriesByType('resource').map((one) => one.responseStatus)"),
        "the answer",
    )
    assert set(answers) == {304}
    assert page.js("return window.row === document.querySelector('#matrix-rows tr')")


def test_focus_and_what_is_open_stay_over_a_change(opened, board):
    page = opened(few())
    page.js("document.querySelector('#faults summary').click()")
    page.js("document.querySelectorAll('#matrix-rows button')[1].click()")
    page.js("document.querySelectorAll('#matrix-rows button')[1].focus()")
    name = page.focused()
    board.show(
        make_matrix(
            list(few().nodes),
            IMAGES,
            lambda _, image: (ImageState.FAILED, "ImagePullBackOff", "new words") if image == 2 else None,
        )
    )
    page.read_again()
    assert (page.focused(), page.text("#faults .messages")) == (name, "new words")
    assert page.texts(".told tbody tr") != []


def test_a_server_that_is_gone_is_told_and_its_return_too(page, board):
    board.show(few())
    with served(board) as url:
        page.go(url)
    page.eventually(lambda: page.title == "No answer - kip", "word of the loss")
    assert page.text("#lost").startswith("Nothing new can be read (no answer)")
    with served(board, port=urlsplit(url).port):
        page.eventually(lambda: page.title == "3 nodes failing - kip", "its return")
        assert page.texts("#lost") == []


def test_everything_can_be_reached_and_opened_with_the_keyboard(opened):
    page = opened(few())
    stops = []
    for _ in range(40):
        page.press(Keys.TAB)
        stops.append(page.js("return document.activeElement.tagName"))
        assert stops[-1] == "BODY" or page.js(
            "const one = document.activeElement;"
            "return one.matches(':focus-visible') && getComputedStyle(one).outlineStyle !== 'none'"
        )
        if stops[-1] == "SUMMARY" and "java" in page.focused():
            page.press(Keys.ENTER)
            page.eventually(lambda: page.texts(".remedy"), "what is inside")
        if stops[-1] == "BUTTON":
            page.press(Keys.SPACE)
            assert page.js("return document.activeElement.getAttribute('aria-expanded')") == "true"
            break
    assert (stops[0], stops[-1], "SUMMARY" in stops) == ("A", "BUTTON", True)


def test_it_works_below_the_path_of_a_proxy(page, board):
    board.show(few())
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = serve_on(listening, only_here(Page(board), port, "proxy"))
    try:
        page.go(f"http://127.0.0.1:{port}/proxy/")
        assert page.title == "3 nodes failing - kip"
    finally:
        end(server)


JOB = JobsView(
    "warm", "ci", "ImagePullJob", Phase.RUNNING, 9, 2, 4, 1, "pulling", ("ide:1 on n1: no such image",)
)


def test_pull_jobs_are_shown_with_what_fails(opened, board):
    board.show_jobs((JOB, replace(JOB, name="<b>bad</b>", phase=Phase.REFUSED, message="no image")))
    page = opened(few())
    assert page.texts("#job-rows th bdi:first-child") == ["ci/warm", "ci/<b>bad</b>"]
    assert page.texts("#job-rows tr:first-child .numbers") == ["4 of 9 nodes, 2 pulling, 1 failed"]
    assert page.texts("#job-rows tr:first-child li") == ["ide:1 on n1: no such image"]
    assert page.violations == []


def test_without_pull_jobs_nothing_is_said_of_them(opened):
    assert opened(few()).texts("#jobs") == []
