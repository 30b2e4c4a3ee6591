"""The Helm chart says the same as the code. What helm makes of it is tested in e2e/test_helm.py."""

import json
import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import yaml

from kip import __version__
from kip.config.chart import NO_SETTINGS
from kip.config.chart import VALUES as VALUES_OF_CHECK
from kip.config.mappings import TEMPLATE_GENERATION
from kip.config.table import SETTINGS

TOP = Path(__file__).resolve().parents[2]
CHART = TOP / "deploy/helm"
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
VALUES = (CHART / "values.yaml").read_text("utf-8")
TEMPLATES = "".join(
    path.read_text("utf-8") for path in sorted((CHART / "templates").glob("*")) if path.is_file()
)

OWN_DEFAULTS = {
    "IMAGES": "kubernetes-image-puller's example",
    "DAEMONSET_NAME": "deploymentName",
    "NAMESPACE": "that of the release",
    "KIP_IMAGE": "the keeper's image",
    "DEPLOYMENT_NAME": "kubernetes-image-puller",
    "CONFIGMAP_NAME": "k8s-image-puller",
    "HTTP_ADDRESS": ":8080",
    "PULL_JOB_NAMESPACES": "none, and that of the release where pull jobs are enabled",
}
"""Settings whose value has another default than the setting, as the chart knows more than the program."""

FREE = {
    "properties/global",
    "properties/extraVolumes/items",
    "properties/networkPolicy/properties/from/items",
    "properties/networkPolicy/properties/extraEgress/items",
    *(
        f"properties/extraEnv/items/properties/valueFrom/properties/{name}"
        for name in ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
    ),
}
"""Objects of others, which the API server checks."""


def script(name: str):
    loader = SourceFileLoader(name.replace("-", "_"), str(TOP / "hack" / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


DOCUMENTED = script("update-chart").read_values(VALUES)


def value_of(key: str):
    """Return the value that says it is that setting."""
    return [value for value in DOCUMENTED if f"(`{key}`)" in value.meaning]


def test_kip_check_reads_each_value_as_the_chart_does():
    said = {key: value.path for value in DOCUMENTED for key in re.findall(r"\(`([A-Z_]+)`\)", value.meaning)}
    assert {key: path for path, key in VALUES_OF_CHECK.items()} == said


def test_what_kip_check_takes_for_no_setting_is_a_value_of_the_chart():
    assert set(NO_SETTINGS) <= {value.path for value in DOCUMENTED}


def leaves(values: dict, prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def objects(schema: dict, path: str = ""):
    """Yield path and schema of all that may be a mapping."""
    kinds = schema.get("type", [])
    if "object" in ([kinds] if isinstance(kinds, str) else kinds):
        yield path, schema
    for group in ("properties", "$defs"):
        for name, part in schema.get(group, {}).items():
            yield from objects(part, f"{path}/{group}/{name}".lstrip("/"))
    for group in ("items", "additionalProperties"):
        if isinstance(schema.get(group), dict):
            yield from objects(schema[group], f"{path}/{group}".lstrip("/"))


@pytest.mark.parametrize("key", [row.key for row in SETTINGS])
def test_every_setting_is_a_value_of_the_chart_and_in_its_readme(key):
    (value,) = value_of(key)
    assert re.search(rf"\b{key}\b", TEMPLATES)
    assert f"| `{value.path}` |" in (CHART / "README.md").read_text("utf-8")


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_a_value_has_the_default_of_its_setting(row):
    (value,) = value_of(row.key)
    given = "{}" if value.default is None else str(value.default)
    assert row.key in OWN_DEFAULTS or given == row.default


@pytest.mark.parametrize("path", sorted(leaves(yaml.safe_load(VALUES))))
def test_every_value_is_documented_and_in_the_schema(path):
    documented = {value.path for value in DOCUMENTED}
    assert any(path == known or path.startswith(f"{known}.") for known in documented)
    schema = SCHEMA
    for part in path.split("."):
        while "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = schema.get("properties", {}).get(part) or schema["additionalProperties"]


def test_every_value_of_the_schema_is_in_values_yaml():
    values = yaml.safe_load(VALUES)
    assert set(SCHEMA["properties"]) - {"global", "enabled"} == set(values)
    for name, schema in SCHEMA["properties"].items():
        if name in {
            "configMap",
            "image",
            "rbac",
            "serviceAccount",
            "networkPolicy",
            "metrics",
            "service",
            "pullJobs",
        }:
            assert set(schema["properties"]) == set(values[name])


@pytest.mark.parametrize(("path", "schema"), list(objects(SCHEMA)), ids=lambda item: str(item)[:60])
def test_the_schema_is_closed_at_every_level(path, schema):
    closed = schema.get("additionalProperties") is False
    texts = isinstance(schema.get("additionalProperties"), dict)
    assert closed or texts or path in FREE


def test_the_chart_has_the_version_of_kip():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_dashboard_and_alert_rules_can_be_read():
    assert isinstance(json.loads((CHART / "dashboards/kip.json").read_text("utf-8")), dict)
    assert "groups" in yaml.safe_load((CHART / "rules/kip.yaml").read_text("utf-8"))


NOT_QUOTED = re.compile(
    r"^ *(?:- )?(?:name|namespace|value|app|app\.kubernetes\.io/\w+|serviceAccountName|priorityClassName|"
    r"resourceNames): \[?\{\{ (?!toJson )(?!.*\| quote }}).*$",
    re.MULTILINE,
)


def test_names_and_values_are_quoted_as_they_may_look_like_numbers():
    templates = sorted((CHART / "templates").rglob("*.*"))
    assert [found for path in templates for found in NOT_QUOTED.findall(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("kip.dev/written-by", True),
        (TEMPLATE_GENERATION, True),
        ("example.com/kip.dev", False),
        ("kip", False),
    ],
)
def test_the_schema_refuses_annotations_that_kip_writes_itself(key, own):
    annotations = SCHEMA["properties"]["configMap"]["properties"]["daemonsetAnnotations"]
    ((pattern, allowed),) = annotations["patternProperties"].items()
    assert (bool(re.search(pattern, key)), allowed) == (own, False)
