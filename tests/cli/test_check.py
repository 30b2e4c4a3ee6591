"""`kip check`."""

import json

import pytest

from kip.errors import Forbidden, KipError, Unreachable

VALUES = {"NAMESPACE": "images", "IMAGES": "tools=registry.example/tools:1.4.2"}
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "images", "namespace": ""}}
NODE = {
    "kind": "Node",
    "metadata": {"name": "n1", "namespace": "", "labels": {"kubernetes.io/os": "linux"}},
    "spec": {},
}


def test_a_fine_cluster_is_exit_code_0(kip, cluster):
    cluster(NAMESPACE, NODE)
    code, out, _ = kip("check", **VALUES)
    assert (code, out.splitlines()[-1].startswith("0 problems, 0 warnings, ")) == (0, True)


def test_a_problem_is_exit_code_3_and_has_its_remedy_below(kip, cluster):
    cluster(NAMESPACE, NODE)
    code, out, _ = kip("check", **VALUES, IMAGE_PULL_SECRETS="pull")
    lines = out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("PROBLEM"))
    assert (code, "pull: there is no such Secret" in lines[at]) == (3, True)
    assert "kubectl create secret docker-registry pull" in lines[at + 1]


def test_nothing_is_changed(kip, cluster):
    there = cluster(NAMESPACE, NODE)
    kip("check", **VALUES)
    assert there.writes == []


def test_what_may_not_be_read_is_not_checked_and_no_error(kip, cluster):
    cluster(NAMESPACE).failures["list nodes"] = [Forbidden("no")]
    code, out, _ = kip("check", **VALUES)
    assert (code, "not checked  nodes: because these credentials may not read nodes" in out) == (0, True)


def test_a_server_without_an_answer_leaves_the_settings_checked(kip, cluster):
    cluster().failures["rights daemonsets"] = [Unreachable("no answer")]
    code, out, _ = kip("check", **VALUES)
    assert (code, "not checked  quota: because no answer" in out, "ok           settings" in out) == (
        0,
        True,
        True,
    )


def test_without_a_way_to_the_cluster_the_settings_are_checked(kip, monkeypatch):
    def connect(*_):
        raise KipError("no way to the cluster: none")

    monkeypatch.setattr("kip.cli.check.connect", connect)
    code, out, _ = kip("check", **VALUES)
    assert (code, "because no way to the cluster" in out) == (0, True)


def test_settings_that_cannot_be_used_are_a_finding(kip, cluster):
    cluster(NAMESPACE, NODE)
    code, out, _ = kip("check", **VALUES | {"CACHING_MEMORY_LIMIT": "20 MB"})
    assert (code, "PROBLEM      settings: CACHING_MEMORY_LIMIT: '20 MB'" in out) == (3, True)
    assert "not checked  nodes: because the settings cannot be used" in out


def test_a_warning_counts_only_if_strict(kip, cluster):
    cluster(NAMESPACE, NODE)
    moving = VALUES | {"IMAGES": "a=registry.example/a"}
    assert [kip("check", *more, **moving)[0] for more in ([], ["--strict"])] == [0, 3]


def test_the_keys_of_a_finding_are_as_documented(kip, cluster):
    cluster(NAMESPACE, NODE)
    found = json.loads(kip("check", "-o", "json", **VALUES)[1])
    assert (set(found), found["fine"]) == ({"fine", "counts", "findings"}, True)
    assert {tuple(finding) for finding in found["findings"]} == {
        ("check", "state", "subject", "message", "remedy")
    }


def test_a_values_file_of_the_chart_is_read_for_a_namespace(kip, cluster, tmp_path):
    cluster(NAMESPACE, NODE)
    path = tmp_path / "values.yaml"
    path.write_text("configMap: {images: [registry.example/a:1.0.0], nodeSelector: {disk: ssd}}\n")
    code, out, _ = kip("check", "--values", str(path), "-n", "images")
    assert (code, "none of 1 nodes is selected" in out) == (3, True)


def test_the_live_configmap_wins_over_the_environment(kip, cluster):
    live = {
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "images"},
        "data": {"NODE_SELECTOR": "disk=ssd"},
    }
    cluster(NAMESPACE, NODE, live)
    assert kip("check", **VALUES, CONFIGMAP_NAME="settings")[0] == 3


@pytest.mark.parametrize("other", ["--env-file", "--configmap"])
def test_two_sources_exclude_each_other(kip, other):
    assert kip("check", "--values", "a", other, "b")[0] == 2
