"""The alert rules, evaluated by Prometheus' own code: each fires when it should, and resolves."""

import re

import yaml
from localcluster.programs import build_tool
from realcluster import TOP, command

RULES = TOP / "deploy/helm/rules/kip.yaml"
TESTS = TOP / "e2e/alerts/kip.yaml"


def test_each_alert_fires_when_it_should_and_resolves():
    assert "SUCCESS" in command(build_tool("promtool"), "test", "rules", str(TESTS))


def test_the_rules_are_well_formed():
    alerts = len(rules())
    assert f"SUCCESS: {alerts} rules found" in command(build_tool("promtool"), "check", "rules", str(RULES))


def test_every_alert_is_tested():
    text = TESTS.read_text("utf-8").replace(
        "Kip(Settings|Entry)Refused", "KipSettingsRefused KipEntryRefused"
    )
    text = text.replace("KipPullJob(sFailing|Blocked)", "").replace("KipPullJob.*", "")
    assert {rule["alert"] for rule in rules()} == set(re.findall(r"\bKip[A-Z]\w+", text))


def rules() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]
