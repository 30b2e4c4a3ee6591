"""`kip check` against the real cluster: what it says holds there."""

import json
import os
import subprocess

import pytest
from localcluster.layout import RESERVED
from realcluster import KIP, KIP_RULES, UPSTREAM_RULES, apply, eventually, get, kubeconfig_for, kubectl, nodes

IMAGES = "tools=registry.invalid/tools:1.4.2;ide=registry.invalid/ide:2.0.1"


@pytest.fixture
def check(namespace, tmp_path):
    """Run `kip check -o json` in the namespace; return the exit code, and the findings by check."""

    def run(*arguments: str, kubeconfig: str = "", **values: str):
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": kubeconfig or os.environ["KUBECONFIG"],
            "NAMESPACE": namespace,
            # Not the nodes that other tests add for themselves.
            "AFFINITY": json.dumps(not_reserved()),
            **values,
        }
        command = [KIP, "check", "-o", "json", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode in (0, 3), ended.stderr
        by_check: dict[str, list[dict]] = {}
        for finding in json.loads(ended.stdout)["findings"]:
            by_check.setdefault(finding["check"], []).append(finding)
        return ended.returncode, by_check

    return run


def not_reserved() -> dict:
    term = {"matchExpressions": [{"key": RESERVED, "operator": "DoesNotExist"}]}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": rule}


def states(found: list[dict]) -> list[str]:
    return [finding["state"] for finding in found]


def test_a_namespace_as_it_should_be_is_fine(check):
    code, found = check(IMAGES=IMAGES)
    assert (code, {state for name in found for state in states(found[name])}) == (0, {"ok"})


def test_a_missing_pull_secret_is_told_and_one_that_is_there_is_fine(check, namespace):
    values = {"IMAGES": IMAGES, "IMAGE_PULL_SECRETS": "pull"}
    before = check(**values)
    kubectl(
        "-n", namespace, "create", "secret", "docker-registry", "pull",
        "--docker-server=registry.invalid", "--docker-username=me", "--docker-password=none",
    )  # fmt: skip
    after = check(**values)
    assert [(code, states(found["pull secrets"])) for code, found in (before, after)] == [
        (3, ["problem"]),
        (0, ["ok"]),
    ]


def test_a_quota_that_is_said_to_be_too_small_refuses_the_cache_and_one_that_is_large_enough_takes_it(
    check, namespace
):
    need = 2 * len(nodes()) * 20
    verdicts = []
    for hard in (need - 1, need, 3 * need):
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": namespace},
        }
        apply({**quota, "spec": {"hard": {"limits.memory": f"{hard}Mi"}}})
        eventually(lambda hard=hard: counted(namespace) == f"{hard}Mi", "the quota in force")
        code, found = check(IMAGES=IMAGES)
        verdicts.append((code, states(found["quota"])[-1]))
    assert verdicts == [(3, "problem"), (0, "warning"), (0, "ok")]


def counted(namespace: str) -> str:
    return get("resourcequota", "q", namespace=namespace)["status"].get("hard", {}).get("limits.memory", "")


def test_a_limit_range_of_the_namespace_is_read(check, namespace):
    metadata = {"name": "small", "namespace": namespace}
    limits = [{"type": "Container", "max": {"memory": "16Mi"}}]
    apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}})
    code, found = check(IMAGES=IMAGES)
    assert (code, states(found["limit range"])) == (3, ["problem"])


def test_a_tainted_node_is_left_out_until_it_is_tolerated(check, tainted):
    values = {"IMAGES": IMAGES, "AFFINITY": "{}", "NODE_SELECTOR": f"{tainted}=yes"}
    code, found = check(**values)
    mine = [one for one in found["taints"] if one["subject"] == f"{tainted}=yes:NoSchedule"]
    assert (code, states(mine), mine[0]["message"]) == (3, ["problem"], "1 of 1 selected nodes are left out")

    _, found = check(**values, TOLERATIONS=json.dumps([{"key": tainted, "operator": "Exists"}]))
    assert not [one for one in found["taints"] if one["subject"] == f"{tainted}=yes:NoSchedule"]


def test_a_selector_that_no_node_has_is_told(check):
    code, found = check(IMAGES=IMAGES, NODE_SELECTOR="there.is/none=such")
    assert (code, states(found["nodes"])) == (3, ["problem"])


@pytest.mark.parametrize(("rights", "expected"), [(KIP_RULES, "ok"), (UPSTREAM_RULES, "warning")])
def test_with_a_keepers_rights_the_rest_is_not_checked_and_no_error(
    check, namespace, tmp_path, rights, expected
):
    kubeconfig = kubeconfig_for(namespace, rights, tmp_path)
    code, found = check(kubeconfig=str(kubeconfig), IMAGES=IMAGES)
    assert (code, set(states(found["rights"]))) == (0, {expected})
    assert {states(found[name])[0] for name in ("nodes", "quota", "limit range", "namespace")} == {"skipped"}


def test_without_any_right_there_is_a_problem_that_says_which(check, namespace, tmp_path):
    code, found = check(kubeconfig=str(kubeconfig_for(namespace, [], tmp_path)), IMAGES=IMAGES)
    assert (code, found["rights"][0]["subject"]) == (3, "daemonsets")
