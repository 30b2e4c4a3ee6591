"""The OpenShift templates against the settings table; e2e/test_openshift.py runs them."""

import re
from pathlib import Path

import pytest
import yaml

from kip.config.table import SETTINGS

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "deploy/openshift"
TEMPLATES = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.yaml"))}
IN_THE_DEPLOYMENT = {"DEPLOYMENT_NAME", "CONFIGMAP_NAME", "HTTP_ADDRESS"}
"""What the keeper must know before it can read its ConfigMap, or what goes with its ports."""

UPSTREAM_LIST = (
    "che-code=quay.io/che-incubator/che-code:next;"
    " base-developer-image=quay.io/devfile/base-developer-image:ubi9-latest;\n"
)
"""The images that upstream's template names."""


def parameters(name: str) -> dict[str, str]:
    return {parameter["name"]: parameter["value"] for parameter in TEMPLATES[name]["parameters"]}


def in_template(name: str) -> set[str]:
    return set(re.findall(r"\$\{+([A-Z_]+)}+", (FOLDER / f"{name}.yaml").read_text("utf-8")))


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_a_setting_has_its_place_in_the_templates(row):
    (configmap,) = TEMPLATES["configmap"]["objects"]
    (container,) = TEMPLATES["app"]["objects"][0]["spec"]["template"]["spec"]["containers"]
    if row.key in IN_THE_DEPLOYMENT:
        assert row.key in {variable["name"] for variable in container["env"]}
    else:
        assert configmap["data"][row.key] == f"${{{row.key}}}"


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_a_parameter_has_the_default_of_its_setting(row):
    expected = UPSTREAM_LIST if row.key == "IMAGES" else row.default
    if row.key not in IN_THE_DEPLOYMENT:
        assert parameters("configmap")[row.key] == expected


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_a_setting_is_in_the_docs(row):
    assert f"`{row.key}`" in (TOP / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_uses_each_of_its_parameters_and_no_other(name):
    assert in_template(name) == set(parameters(name))


@pytest.mark.parametrize("page", ["README.md", "docs/coming-from-kubernetes-image-puller.md"])
def test_commands_in_the_docs_name_parameters_that_are_there(page):
    text = (TOP / page).read_text("utf-8")
    commands = re.findall(r"oc process -f deploy/openshift/(\w+)\.yaml(.*?)\|", text)
    assert {name for name, _ in commands} >= {"serviceaccount", "app"}
    for name, given in commands:
        assert set(re.findall(r"-p (\w+)=", given)) <= set(parameters(name))


def test_there_are_upstreams_three_templates():
    assert set(TEMPLATES) == {"serviceaccount", "configmap", "app"}


def test_parameters_of_several_templates_have_one_default():
    defaults: dict[str, set[str]] = {}
    for name in TEMPLATES:
        for parameter, value in parameters(name).items():
            defaults.setdefault(parameter, set()).add(value)
    assert {parameter for parameter, values in defaults.items() if len(values) > 1} == set()


def test_only_a_few_settings_are_taken_from_the_configmap_into_the_environment():
    """What is in the environment would count again when its key is removed from the ConfigMap."""
    (container,) = TEMPLATES["app"]["objects"][0]["spec"]["template"]["spec"]["containers"]
    taken = [variable["name"] for variable in container["env"] if "valueFrom" in variable]
    assert ("envFrom" in container, taken) == (
        False,
        ["DAEMONSET_NAME", "NAMESPACE", "LOG_FORMAT", "LOG_LEVEL"],
    )


def test_what_is_not_in_the_environment_may_be_read_by_the_templates_role():
    role = TEMPLATES["serviceaccount"]["objects"][0]
    (rule,) = [rule for rule in role["rules"] if "configmaps" in rule["resources"]]
    assert (rule["resourceNames"], rule["verbs"]) == (["${CONFIGMAP_NAME}"], ["get", "list", "watch"])
