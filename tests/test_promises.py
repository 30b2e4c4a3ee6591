"""docs/promises.md: every promise and every defect has its test, and the tests are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs/promises.md"
PAGES = (PAGE, TOP / "docs/coming-from-openkruise.md")
TEST = re.compile(r"`((?:e2e|tests)/[\w/]+\.py)::(\w+)`")
DEFECTS = 30


def rows(title: str) -> list[list[str]]:
    """Return the rows of the table under that heading, without its head."""
    section = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((TOP / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", rows("The promises"), ids=lambda row: row[0][:60])
def test_every_promise_has_a_test(row):
    assert TEST.search(row[-1])


def test_every_defect_is_answered():
    assert [row[0] for row in rows("The defects of kubernetes-image-puller")] == [
        str(number) for number in range(1, DEFECTS + 1)
    ]


@pytest.mark.parametrize("row", rows("The defects of kubernetes-image-puller"), ids=lambda row: row[0])
def test_a_defect_has_a_test_or_a_reason(row):
    assert TEST.search(row[-1]) or row[-1].startswith("Cannot occur: ")


def test_there_are_promises():
    assert len(rows("The promises")) > DEFECTS // 2


@pytest.mark.parametrize(
    ("file", "name"), sorted({found for page in PAGES for found in TEST.findall(page.read_text("utf-8"))})
)
def test_a_test_that_is_named_is_there(file, name):
    assert name in names_in(file)
