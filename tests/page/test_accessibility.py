"""The page for everybody: judged by axe-core, and by the browser's own accessibility tree."""

from importlib.resources import files

import pytest
from page_scenes import complete, few, history, make_matrix, thousands

AXE = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
SCENES = {"few": few, "complete": complete, "thousands": thousands, "fifty": lambda: make_matrix(50, 3)}


def prefer(page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("scene", SCENES)
def test_axe_finds_nothing(opened, page, board, scene, scheme):
    prefer(page, scheme)
    for notice in history():
        board.note(notice)
    opened(SCENES[scene]())
    page.js("for (const one of document.querySelectorAll('#faults summary')) one.click()")
    page.js("document.querySelector('#matrix-rows button').click()")
    page.js(AXE)
    page.driver.set_script_timeout(60)
    found = page.driver.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then((told) => arguments[0](told.violations))"
    )
    assert [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found] == []


def test_dark_is_dark_and_light_is_light(opened, page):
    opened(few())
    brightness = {}
    for scheme in ("light", "dark"):
        prefer(page, scheme)
        colours = page.js(
            "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
        )
        brightness[scheme] = [sum(map(int, colour[4:-1].split(","))) for colour in colours]
    (text, ground), (dark_text, dark_ground) = brightness["light"], brightness["dark"]
    assert max(text, dark_ground) < 200
    assert min(ground, dark_text) > 600


def tree(page) -> list[tuple[str, str]]:
    """Return role and name of all that a screen reader meets."""
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]


def test_a_screen_reader_meets_all_of_it(opened):
    met = tree(opened(few()))
    for expected in (
        ("RootWebArea", "3 nodes failing - kip"),
        ("heading", "What fails"),
        ("heading", "Nodes"),
        ("heading", "Images"),
        ("rowheader", "worker-1"),
        ("columnheader", "java"),
        ("image", "failed: ErrImagePull"),
        ("image", "cached"),
        ("image", "pulling"),
        ("list", "Images times nodes, by state"),
    ):
        assert expected in met


def test_a_screen_reader_is_told_what_the_map_shows(opened):
    (name,) = [name for role, name in tree(opened(thousands())) if role == "image" and "nodes:" in name]
    assert name.startswith("5,000 nodes: ")


def test_signs_differ_without_colour(opened):
    page = opened(few())
    signs = page.js(
        "return Object.fromEntries(Array.from(document.querySelectorAll('#legend .mark'),"
        " (one) => [one.className, one.textContent]))"
    )
    assert len(set(signs.values())) == len(signs) == 5
