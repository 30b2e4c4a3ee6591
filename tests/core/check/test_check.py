"""Each check, in both directions."""

from pathlib import Path

import pytest
import yaml
from fakes import EVERYTHING

from kip.config.settings import read_settings
from kip.core.check.findings import CHECKS, Severity, Unread, is_fine
from kip.core.check.run_checks import Facts, check
from kip.core.rights import Rights, Rule, read_rights

TOP = Path(__file__).resolve().parents[3]
PLAIN = "tools=registry.example/tools:1.4.2;ide=registry.example/ide:2.0.1"


def node(number: int = 1, taints: tuple = (), **labels: str) -> dict:
    labels = {"kubernetes.io/os": "linux", **labels}
    return {"metadata": {"name": f"n{number}", "labels": labels}, "spec": {"taints": list(taints)}}


def namespace(**metadata) -> dict:
    return {"metadata": {"name": "images", **metadata}}


def quota(scope: dict | None = None, used: dict | None = None, **hard: str) -> dict:
    hard = {key.replace("_", "."): value for key, value in hard.items()}
    return {
        "metadata": {"name": "team"},
        "spec": {"hard": hard, **(scope or {})},
        "status": {"hard": hard, "used": used or {}},
    }


def limits(**item) -> dict:
    return {"spec": {"limits": [{"type": "Container", **item}]}}


def found(name: str, images: str = PLAIN, *, facts: dict | None = None, **values: str) -> list:
    """Return the findings of one check."""
    reading = read_settings({"IMAGES": images, **values}, pod_namespace="images")
    given = {
        "rights": EVERYTHING,
        "namespace": namespace(),
        "nodes": (node(1), node(2)),
        "quotas": (),
        "limit_ranges": (),
        "daemonset": None,
        "secrets": {},
    }
    findings = check(reading, Facts(**{**given, **(facts or {})}))
    assert {finding.check for finding in findings} <= {row.name for row in CHECKS}
    return [finding for finding in findings if finding.check == name]


def state(name: str, *arguments, **keywords) -> Severity:
    """Return the worst state of one check."""
    order = [Severity.PROBLEM, Severity.WARNING, Severity.SKIPPED, Severity.OK]
    return min((one.state for one in found(name, *arguments, **keywords)), key=order.index)


@pytest.mark.parametrize("name", [row.name for row in CHECKS])
def test_every_check_is_fine_where_nothing_is_wrong(name):
    assert state(name) is Severity.OK


@pytest.mark.parametrize("name", [row.name for row in CHECKS if row.reads])
def test_what_may_not_be_read_is_skipped_with_the_reason_and_no_fault(name):
    no = Unread("these credentials may not")
    fields = ("rights", "namespace", "nodes", "quotas", "limit_ranges", "daemonset")
    facts = {**dict.fromkeys(fields, no), "secrets": {"pull": no}}
    findings = found(name, facts=facts, IMAGE_PULL_SECRETS="pull")
    assert ({one.state for one in findings}, is_fine(tuple(findings))) == ({Severity.SKIPPED}, True)
    assert findings[0].message == no.reason


def test_a_mended_entry_is_a_warning_and_a_refused_one_a_problem():
    mended, refused = found("images", f"My_Tools=registry.example/a:1.0.0;{PLAIN};b=Registry/UPPER:1")
    assert (mended.state, mended.subject, refused.state, refused.subject) == (
        Severity.WARNING,
        "IMAGES[1]",
        Severity.PROBLEM,
        "IMAGES[4]",
    )


def test_an_image_listed_twice_is_a_warning():
    assert state("images", f"{PLAIN};again=registry.example/tools:1.4.2") is Severity.WARNING


def test_a_mended_setting_is_a_warning():
    assert state("settings", TOLERATIONS='{"operator": "Exists"}') is Severity.WARNING


def test_a_moving_tag_is_named():
    (finding,) = found("moving tags", f"{PLAIN};latest=registry.example/new")
    assert (finding.state, "1 of 3 images" in finding.message, "latest" in finding.message) == (
        Severity.WARNING,
        True,
        True,
    )


@pytest.mark.parametrize(("count", "expected"), [(50, Severity.OK), (51, Severity.WARNING)])
def test_more_than_fifty_images_are_a_warning(count, expected):
    images = ";".join(f"i{number}=registry.example/i:{number}.0.0" for number in range(count))
    assert state("image count", images) is expected


@pytest.mark.parametrize(
    ("size", "expected"), [(100, Severity.OK), (1100, Severity.WARNING), (2500, Severity.PROBLEM)]
)
def test_a_daemonset_that_etcd_would_not_take_is_a_problem(size, expected):
    images = ";".join(f"i{number}=registry.example/i:{number}.0.0" for number in range(size))
    assert state("daemonset size", images) is expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("11Mi", Severity.PROBLEM), ("12Mi", Severity.WARNING), ("20Mi", Severity.OK), ("0", Severity.OK)],
)
def test_a_memory_limit_that_runtimes_refuse_is_told(limit, expected):
    assert state("memory limit", CACHING_MEMORY_LIMIT=limit) is expected


def only(resource: str, *verbs: str, group: str = "") -> Rule:
    return Rule(frozenset(verbs), frozenset({group}), frozenset({resource}), frozenset())


def test_without_the_rights_of_the_base_job_there_is_a_problem():
    first = found("rights", facts={"rights": Rights()})[0]
    assert (first.state, first.subject, "nothing works" in first.message) == (
        Severity.PROBLEM,
        "daemonsets",
        True,
    )


def test_a_right_that_only_makes_it_better_is_a_warning_that_says_its_cost():
    base = only("daemonsets", "get", "list", "watch", "create", "delete", group="apps")
    findings = found("rights", facts={"rights": Rights((base,))}, DEPLOYMENT_NAME="kip")
    assert {one.state for one in findings} == {Severity.WARNING}
    assert "deployments/kip" in {one.subject for one in findings}


def test_rights_for_pull_jobs_are_looked_at_in_each_of_their_namespaces():
    findings = found("rights", facts={"job_rights": {"ci": Rights(), "shop": EVERYTHING}})
    assert ({one.remedy.rpartition("namespace ")[2] for one in findings if "Role in" in one.remedy}) == {
        "ci."
    }


@pytest.mark.parametrize("subject", ["imagelistpulljobs/status", "pods", "events", "configmaps"])
def test_a_right_that_pull_jobs_lack_is_named(subject):
    assert subject in {one.subject for one in found("rights", facts={"job_rights": {"ci": Rights()}})}


def test_the_rights_that_the_manifest_grants_are_all_that_pull_jobs_lack():
    documents = yaml.safe_load_all((TOP / "deploy/kubernetes/pull-jobs.yaml").read_text("utf-8"))
    rules = [rule for document in documents for rule in document.get("rules") or ()]
    granted = read_rights({"status": {"resourceRules": rules}})
    assert state("rights", facts={"job_rights": {"ci": granted}}) is Severity.OK


@pytest.mark.parametrize("subject", ["nodes", "customresourcedefinitions/nodeimages.apps.kruise.io"])
def test_a_right_in_the_cluster_that_pull_jobs_lack_is_named_once(subject):
    findings = found("rights", facts={"job_rights": {"ci": Rights(), "shop": Rights()}})
    assert [one.remedy for one in findings if one.subject == subject] == [
        f"Grant {'list, watch' if subject == 'nodes' else 'get'} on {subject} by a ClusterRole."
    ]


def test_rights_for_pull_jobs_that_could_not_be_read_are_said_not_to_be_checked():
    findings = found("rights", facts={"job_rights": {"ci": Unread("the API server is away")}})
    assert {(one.state, one.message) for one in findings} == {(Severity.SKIPPED, "the API server is away")}


@pytest.mark.parametrize("missing", ["get", "update", "create"])
def test_a_lease_has_to_be_read_made_and_renewed(missing):
    rights = Rights(
        (
            only("daemonsets", "get", "list", "watch", "create", "delete", "patch", group="apps"),
            only("pods", "get", "list", "delete"),
            only("events", "create", "patch", group="events.k8s.io"),
            only("events", "list", "watch"),
            only("leases", *({"get", "update", "create"} - {missing}), group="coordination.k8s.io"),
        )
    )
    (finding,) = found("rights", facts={"rights": rights})
    assert (finding.state, finding.message.partition(" ")[0]) == (Severity.WARNING, missing)


def test_rights_that_a_webhook_decides_are_not_guessed():
    assert state("rights", facts={"rights": Rights(incomplete=True)}) is Severity.SKIPPED


@pytest.mark.parametrize(
    "there", [None, namespace(deletionTimestamp="2026-11-21T08:00:00Z")], ids=["missing", "ending"]
)
def test_a_namespace_that_is_not_there_to_stay_is_a_problem(there):
    assert state("namespace", facts={"namespace": there}) is Severity.PROBLEM


@pytest.mark.parametrize(
    ("level", "expected"),
    [("restricted", Severity.OK), ("privileged", Severity.OK), ("strict", Severity.WARNING)],
)
def test_the_cache_fits_every_known_pod_security_level(level, expected):
    there = namespace(labels={"pod-security.kubernetes.io/enforce": level})
    assert state("pod security", facts={"namespace": there}) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, Severity.PROBLEM),
        ("Opaque", Severity.PROBLEM),
        ("kubernetes.io/dockerconfigjson", Severity.OK),
        ("kubernetes.io/dockercfg", Severity.OK),
    ],
)
def test_a_pull_secret_has_to_be_there_and_a_registry_credential(kind, expected):
    (finding,) = found("pull secrets", facts={"secrets": {"pull": kind}})
    assert (finding.subject, finding.state) == ("pull", expected)


def test_a_selector_that_matches_no_node_is_a_problem():
    assert state("nodes", NODE_SELECTOR="disk=ssd") is Severity.PROBLEM


def test_windows_nodes_do_not_count():
    windows = node(2, **{"kubernetes.io/os": "windows"})
    (finding,) = found("nodes", facts={"nodes": (node(1), windows)})
    assert finding.message == "1 of 2 nodes are selected"


GPU = ({"key": "gpu", "value": "yes", "effect": "NoSchedule"},)


def test_a_taint_is_told_with_the_number_of_nodes_it_costs_and_a_toleration_that_helps():
    (finding,) = found("taints", facts={"nodes": (node(1), node(2, GPU), node(3, GPU))})
    assert (finding.state, finding.subject, finding.message) == (
        Severity.WARNING,
        "gpu=yes:NoSchedule",
        "2 of 3 selected nodes are left out",
    )
    assert '{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}' in finding.remedy


def test_the_toleration_that_the_remedy_names_helps():
    tolerations = '[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]'
    assert state("taints", facts={"nodes": (node(1), node(2, GPU))}, TOLERATIONS=tolerations) is Severity.OK


def test_taints_that_leave_no_node_are_a_problem():
    assert state("taints", facts={"nodes": (node(1, GPU),)}) is Severity.PROBLEM


def test_a_node_that_is_not_well_needs_no_toleration():
    sick = ({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},)
    (finding,) = found("taints", facts={"nodes": (node(1), node(2, sick))})
    assert "set by Kubernetes" in finding.remedy


@pytest.mark.parametrize(
    ("nodes", "expected"), [(1500, Severity.OK), (1501, Severity.WARNING), (3001, Severity.PROBLEM)]
)
def test_more_containers_than_kubernetes_is_made_for_are_told(nodes, expected):
    images = ";".join(f"i{number}=registry.example/i:{number}.0.0" for number in range(100))
    there = tuple(node(number) for number in range(nodes))
    assert state("containers", images, facts={"nodes": there}) is expected


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        ("240Mi", Severity.OK),
        ("239Mi", Severity.WARNING),
        ("80Mi", Severity.WARNING),
        ("79Mi", Severity.PROBLEM),
    ],
)
def test_a_quota_has_to_hold_the_cache_and_in_a_change_twice_of_it_and_a_net(hard, expected):
    # 2 images of 20Mi on 2 nodes
    assert state("quota", facts={"quotas": (quota(limits_memory=hard),)}) is expected


def test_a_smaller_surge_needs_less():
    assert state("quota", facts={"quotas": (quota(limits_memory="200Mi"),)}, MAX_SURGE="1") is Severity.OK


def test_what_others_use_is_not_free():
    full = quota(limits_memory="240Mi", used={"limits.memory": "1Mi"})
    assert state("quota", facts={"quotas": (full,)}) is Severity.WARNING


@pytest.mark.parametrize(
    ("hard", "expected"), [("40Mi", Severity.PROBLEM), ("159Mi", Severity.WARNING), ("160Mi", Severity.OK)]
)
def test_a_net_requests_nothing(hard, expected):
    values = {"CACHING_MEMORY_REQUEST": "20Mi"}
    assert state("quota", facts={"quotas": (quota(requests_memory=hard),)}, **values) is expected


def test_the_figures_of_a_change_and_of_its_net_are_said():
    first, second = found("quota", facts={"quotas": (quota(pods="5"),)})
    assert [part.split()[:7] for part in first.message.split("; ")] == [
        ["on", "2", "nodes", "the", "cache", "needs", "pods"],
        ["in", "a", "change", "pods", "4,", "requests.cpu", "0.4,"],
        ["with", "a", "net,", "while", "an", "image", "fails,"],
    ]
    assert second.message == "a change needs 4, with a net 6, for a while, and 5 of 5 is free of others"
    assert "Raise the quota to 6," in second.remedy


def test_what_the_cache_itself_uses_is_free_for_it():
    used = quota(limits_memory="240Mi", used={"limits.memory": "40Mi"})
    resources = {"limits": {"memory": "20Mi"}, "requests": {"memory": "10Mi"}}
    cache = {
        "status": {"currentNumberScheduled": 2},
        "spec": {"template": {"spec": {"containers": [{"resources": resources}]}}},
    }
    assert state("quota", facts={"quotas": (used,), "daemonset": cache}) is Severity.OK


@pytest.mark.parametrize(
    ("key", "hard", "expected"),
    [("pods", "3", Severity.WARNING), ("cpu", "1", Severity.OK), ("requests_cpu", ".1", Severity.PROBLEM)],
)
def test_pods_and_requests_count_too(key, hard, expected):
    assert state("quota", facts={"quotas": (quota(**{key: hard}),)}) is expected


def test_a_quota_refuses_pods_that_do_not_say_what_they_want():
    findings = found("quota", facts={"quotas": (quota(limits_memory="1Ti"),)}, CACHING_MEMORY_LIMIT="0")
    assert (findings[-1].state, findings[-1].remedy) == (Severity.PROBLEM, "Set CACHING_MEMORY_LIMIT.")


def test_a_limit_range_fills_in_what_a_quota_asks_for():
    facts = {"quotas": (quota(limits_memory="1Ti"),), "limit_ranges": (limits(default={"memory": "64Mi"}),)}
    assert state("quota", facts=facts, CACHING_MEMORY_LIMIT="0") is Severity.OK


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"scopes": ["BestEffort"]}, Severity.OK),
        ({"scopes": ["Terminating"]}, Severity.OK),
        ({"scopes": ["NotBestEffort", "NotTerminating"]}, Severity.PROBLEM),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]
                }
            },
            Severity.PROBLEM,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]
                }
            },
            Severity.OK,
        ),
    ],
)
def test_only_quotas_of_the_caches_scope_count(scope, expected):
    small = quota(scope, pods="1")
    assert state("quota", facts={"quotas": (small,)}, CACHING_PRIORITY_CLASS="low") is expected


def test_who_may_not_list_nodes_counts_those_of_the_cache():
    cache = {
        "status": {"desiredNumberScheduled": 7},
        "spec": {"template": {"spec": {"containers": []}}},
    }
    first = found("quota", facts={"nodes": Unread("no"), "daemonset": cache})[0]
    assert first.message.startswith("on 7 nodes the cache needs pods 7, ")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"max": {"memory": "20Mi"}}, Severity.OK),
        ({"max": {"memory": "16Mi"}}, Severity.PROBLEM),
        ({"min": {"memory": "10Mi"}}, Severity.OK),
        ({"min": {"memory": "16Mi"}}, Severity.PROBLEM),
        ({"maxLimitRequestRatio": {"memory": "2"}}, Severity.OK),
        ({"maxLimitRequestRatio": {"memory": "1"}}, Severity.PROBLEM),
        ({"type": "Pod", "max": {"memory": "30Mi"}}, Severity.PROBLEM),
        ({"type": "Pod", "max": {"memory": "40Mi"}}, Severity.OK),
    ],
)
def test_containers_and_pods_have_to_lie_within_a_limit_range(item, expected):
    assert state("limit range", facts={"limit_ranges": (limits(**item),)}) is expected


def test_a_warning_is_not_fine_only_where_strictness_is_asked_for():
    findings = tuple(found("memory limit", CACHING_MEMORY_LIMIT="16Mi"))
    assert (is_fine(findings), is_fine(findings, strict=True)) == (True, False)
