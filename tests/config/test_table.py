from dataclasses import fields

import pytest

from kip.config.diagnostics import Diagnostics
from kip.config.markdown import settings_as_markdown
from kip.config.settings import Settings
from kip.config.table import SETTINGS

UPSTREAM = [
    "CACHING_INTERVAL_HOURS",
    "IMAGES",
    "CACHING_MEMORY_REQUEST",
    "CACHING_MEMORY_LIMIT",
    "CACHING_CPU_REQUEST",
    "CACHING_CPU_LIMIT",
    "DAEMONSET_NAME",
    "DAEMONSET_ANNOTATIONS",
    "NAMESPACE",
    "NODE_SELECTOR",
    "IMAGE_PULL_SECRETS",
    "AFFINITY",
    "TOLERATIONS",
    "KIP_IMAGE",
    "DEPLOYMENT_NAME",
]


def test_every_field_of_the_settings_has_exactly_one_row():
    assert sorted(row.field for row in SETTINGS) == sorted(field.name for field in fields(Settings))
    assert len({row.key for row in SETTINGS}) == len(SETTINGS)


def test_upstreams_keys_come_first():
    assert [row.key for row in SETTINGS[: len(UPSTREAM)]] == UPSTREAM


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_a_row_has_help_and_a_default_that_reads_without_a_word(row):
    findings = Diagnostics()
    if not row.required:
        row.parse(row.key, row.default, findings)
    assert (findings.problems, findings.notes) == ([], [])
    assert row.help.endswith(".")
    assert row.kind
    assert row.field == row.key.lower() or row.key == "CACHING_INTERVAL_HOURS"


def test_the_markdown_table_has_a_row_per_setting_and_four_columns():
    lines = settings_as_markdown().splitlines()
    assert len(lines) == len(SETTINGS) + 2
    assert {line.count("|") - line.count("\\|") for line in lines} == {5}
    assert lines[2].startswith("| `CACHING_INTERVAL_HOURS` | `1` | number or duration, in hours | How often")
