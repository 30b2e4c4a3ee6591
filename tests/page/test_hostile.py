"""Whatever images are called, and whatever kubelets say: on the page it is text."""

from datetime import UTC, datetime

import pytest
from page_scenes import healthy, make_matrix

from kip.core.status.cell import ImageState
from kip.core.status.notifications import Notification

MARKUP = [
    "<img src=x onerror='window.caught=1'>",
    "</script><script>window.caught=1</script>",
    "<svg onload=window.caught=1>",
    "javascript:window.caught=1",
    '" onmouseover=window.caught=1 x="',
    "</bdi></td></table><iframe src=//evil.example>",
    "{{constructor.constructor('window.caught=1')()}}",
    "__proto__",
    "a\u202egpj.exe",
    "\u0000\u0007\ud800",
    "very-long-" * 2000,
    "",
]
SPOKEN = "a\u202eb <b>bold</b> &amp; </textarea><script>window.caught=1</script>"


def hostile(count: int):
    """Nodes, images, references, reasons and messages, all hostile."""
    images = {f"{text}#{number}": text for number, text in enumerate(MARKUP)}
    nodes = [f"{MARKUP[number % len(MARKUP)][:300]}{number}" for number in range(count)]

    def fault(node: int, image: int):
        if (node + image) % 3:
            return None
        return ImageState.FAILED, MARKUP[(node + image) % len(MARKUP)][:200] or "none", SPOKEN

    return make_matrix(nodes, images, fault)


@pytest.mark.parametrize("count", [3, 100])
def test_nothing_becomes_markup(opened, board, count):
    health = healthy()
    health.settings_problem = MARKUP[0]
    board.note(Notification(datetime(2026, 11, 21, tzinfo=UTC), MARKUP[0], MARKUP[1], warning=True))
    page = opened(hostile(count), health=health)
    page.js("for (const one of document.querySelectorAll('summary, #matrix-rows button')) one.click()")
    page.eventually(lambda: page.texts(".told"), "what was opened")
    assert (
        page.js("return document.querySelectorAll('img, iframe, svg, main script, b b, [onerror]').length")
        == 0
    )
    assert page.js("return document.scripts.length") == 1
    assert page.js("return window.caught") is None
    assert page.violations == []
    assert any(SPOKEN in text for text in page.texts("#faults .messages li"))
    assert page.text("#problems li") == f"settings: {MARKUP[0]}"


def test_text_that_is_written_from_right_to_left_turns_nothing_else_around(opened):
    page = opened(make_matrix(["a\u202eb"], {"a\u202eb": "c\u202ed"}))
    assert set(
        page.js(
            "return Array.from(document.querySelectorAll('bdi'), (one) => getComputedStyle(one).unicodeBidi)"
        )
    ) == {"isolate"}


def test_a_long_name_does_not_widen_the_page(opened):
    page = opened(hostile(3))
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")


def test_the_policy_is_in_force(opened):
    page = opened(hostile(3))
    page.js(
        "const one = document.createElement('img');one.src = 'http://127.0.0.1:9/x';document.body.append(one)"
    )
    page.eventually(lambda: page.violations, "the violation")
    assert "img-src" in page.violations[0]
    refused = page.js("try { document.body.innerHTML = '<p>'; } catch (error) { return error.name; }")
    assert refused == "TypeError"
