"""The definitions of pull jobs, as far as they can be looked at without an API server."""

import re
from pathlib import Path

import pytest
import yaml

from kip.config.diagnostics import Unreadable
from kip.config.references import ANY_REFERENCE, parse_reference
from kip.jobs.openkruise import DEFINITIONS, OF_OPENKRUISE, OURS

TOP = Path(__file__).resolve().parents[2]
FOUND = list(yaml.safe_load_all((TOP / "deploy/kubernetes/pull-job-crds.yaml").read_text("utf-8")))
RIGHTS = list(yaml.safe_load_all((TOP / "deploy/kubernetes/pull-jobs.yaml").read_text("utf-8")))
TEMPLATE = (TOP / "deploy/helm/templates/pull-jobs.yaml").read_text("utf-8")


@pytest.mark.parametrize("definition", FOUND, ids=lambda found: found["spec"]["names"]["kind"])
def test_both_versions_hold_the_same_data_and_one_is_stored(definition):
    old, new = definition["spec"]["versions"]
    assert (old["name"], new["name"]) == ("v1alpha1", "v1beta1")
    assert old["schema"] == new["schema"]
    assert (old["served"], new["served"], old["storage"], new["storage"]) == (True, True, False, True)


def test_the_definitions_carry_the_mark_that_the_keeper_looks_for():
    assert [found["metadata"]["name"] for found in FOUND] == list(DEFINITIONS)
    assert all(OURS in found["metadata"]["labels"] for found in FOUND)
    assert OURS in TEMPLATE


def test_the_rights_cover_what_the_keeper_looks_at():
    (rules,) = (found["rules"] for found in RIGHTS if found["kind"] == "ClusterRole")
    assert rules[1]["resourceNames"] == [*DEFINITIONS, OF_OPENKRUISE]


def test_the_chart_grants_the_same_rights():
    for found in RIGHTS:
        for rule in found.get("rules", ()):
            assert f"verbs: [{', '.join(rule['verbs'])}]" in TEMPLATE
            assert f"resources: [{', '.join(rule['resources'])}]" in TEMPLATE


@pytest.mark.parametrize(
    "text",
    [
        "alpine",
        "alpine:3",
        "a/b/c__d:v1.0-x_Y",
        "localhost:5000/a:1",
        "[2001:db8::1]:5000/a:1",
        f"registry.example/a@sha256:{'0' * 64}",
        f"registry.example/a:1@sha512:{'0' * 128}",
        "REGISTRY.example/a:1",
        "Upper:1",
        "a//b",
        "a:",
        "a b",
        "https://registry.example/a:1",
        "-a",
        "",
        "a@sha256:12",
    ],
)
def test_the_api_server_takes_every_reference_and_what_it_refuses_is_none(text):
    try:
        parse_reference(text)
    except Unreadable:
        readable = False
    else:
        readable = True
    assert bool(re.search(ANY_REFERENCE, text)) == readable
