"""The rendered DaemonSets, byte by byte; hack/update-golden rewrites them."""

from pathlib import Path

import pytest
from golden_cases import CASES

from kip.cli.output import document

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_is_the_golden_one(name):
    assert document(CASES[name](), "yaml") == (GOLDEN / f"{name}.yaml").read_text("utf-8")


def test_there_is_no_golden_manifest_without_a_case():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES)
