"""Dashboard, alert rules and docs/metrics.md know the metrics that the keeper really exports."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kip.observe.metric_table import TABLE
from kip.observe.metrics import Metrics

TOP = Path(__file__).resolve().parents[2]
SCRAPED = {"namespace", "job", "pod"}
"""Labels that Prometheus itself adds to what it scrapes."""

EXPORTED = {
    name: {*item.labels, *(["le"] * (name[-7:] == "_bucket"))} for item in TABLE for name in item.series
}


def expressions() -> list[str]:
    dashboard = json.loads((TOP / "deploy/helm/dashboards/kip.json").read_text("utf-8"))
    groups = yaml.safe_load((TOP / "deploy/helm/rules/kip.yaml").read_text("utf-8"))["groups"]
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return shown + [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions())
def test_each_metric_and_label_in_use_is_exported(expression):
    metrics = re.findall(r"\b(kip_\w+)", expression)
    assert metrics
    assert set(metrics) <= EXPORTED.keys()
    for name, selected in re.findall(r"\b(kip_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)(?:=|!=|=~)\"", selected)) <= EXPORTED[name] | SCRAPED
    grouped = {
        word for words in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for word in words.split(", ")
    }
    assert grouped <= SCRAPED.union(*(EXPORTED[name] for name in metrics))


def test_what_is_exported_is_in_the_table():
    metrics = Metrics()
    metrics.api_answered("GET", "200")
    families = list(text_string_to_metric_families(metrics.text().decode()))
    assert {sample.name for family in families for sample in family.samples} <= EXPORTED.keys()


def test_every_metric_has_a_family_in_the_text():
    text = Metrics().text().decode()
    assert [item.name for item in TABLE if f"# TYPE {item.name} {item.kind.value}\n" not in text] == []


@pytest.mark.parametrize("item", TABLE, ids=lambda item: item.name)
def test_every_metric_is_documented(item):
    assert f"| `{item.name}` | {item.kind.value} |" in (TOP / "docs/metrics.md").read_text("utf-8")


def test_every_alert_has_summary_description_and_runbook():
    groups = yaml.safe_load((TOP / "deploy/helm/rules/kip.yaml").read_text("utf-8"))["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
