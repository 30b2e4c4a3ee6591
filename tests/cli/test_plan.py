"""`kip plan`."""

import json
from datetime import UTC, datetime

import yaml
from fakes import deployment
from samples import manifest, stored, upstream_cache

from kip.core.render.daemonset import Owner

VALUES = {"NAMESPACE": "images", "IMAGES": "tools=registry.example/tools:1.4.2;ide=registry.example/ide:next"}


def as_wanted() -> dict:
    return stored(manifest(owner=None), creationTimestamp=datetime.now(UTC).isoformat()) | {
        "kind": "DaemonSet"
    }


def test_what_is_due_is_said_with_its_reason(kip, cluster):
    cluster()
    assert kip("plan", **VALUES)[:2] == (
        3,
        "create DaemonSet images/kubernetes-image-puller, because\n  - there is no such DaemonSet\n",
    )


def test_nothing_to_do_is_exit_code_0(kip, cluster):
    cluster(as_wanted())
    assert kip("plan", **VALUES)[:2] == (0, "Nothing to do: the cache is as the settings ask.\n")


def test_what_is_logged_does_not_spoil_the_output(kip, cluster):
    cluster(stored(manifest(owner=None)) | {"kind": "DaemonSet"})  # a refresh is due; there is no registry
    _, out, errors = kip("plan", "-o", "json", **VALUES)
    assert (json.loads(out)["steps"], "refresh_postponed" in errors) == ([], True)


def test_nothing_is_changed(kip, cluster):
    found = cluster()
    kip("plan", **VALUES)
    assert found.writes == []


def test_a_foreign_cache_is_said_to_be_refused(kip, cluster):
    cluster(upstream_cache(owner=Owner("theirs", "uid")), deployment())
    _, out, _ = kip("plan", DEPLOYMENT_NAME="kubernetes-image-puller", **VALUES)
    assert "refuse" in out
    assert "belongs to Deployment theirs" in out


def test_json_and_yaml_are_the_same_plan(kip, cluster):
    cluster()
    _, text, _ = kip("plan", "-o", "json", **VALUES)
    _, lines, _ = kip("plan", "-o", "yaml", **VALUES)
    assert json.loads(text) == yaml.safe_load(lines)


def test_the_document_holds_the_manifest(kip, cluster):
    cluster()
    _, text, _ = kip("plan", "-o", "json", **VALUES)
    (step,) = json.loads(text)["steps"]
    assert (step["action"], step["manifest"]["kind"]) == ("create", "DaemonSet")


def test_without_a_way_to_a_cluster_the_remedy_is_told(kip):
    code, _, err = kip("plan", HOME="/nonexistent", **VALUES)
    assert (code, "KUBECONFIG" in err) == (1, True)
