"""Which rights are missing, and what that costs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kip.config.settings import Settings
from kip.core.check.findings import Finding, Severity, Unread
from kip.core.rights import Rights


@dataclass(frozen=True, slots=True)
class Need:
    """Some verbs on one resource; `cost` is what is missing without them."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    cost: str
    name: str = ""
    state: Severity = Severity.WARNING


def needs(settings: Settings) -> tuple[Need, ...]:
    """Return the rights that a keeper with these settings can use, as README.md lists them."""
    both_act = "two keepers of one cache both act"
    found = [
        Need(
            "apps",
            "daemonsets",
            ("get", "list", "watch", "create", "delete"),
            "nothing works",
            state=Severity.PROBLEM,
        ),
        Need("apps", "daemonsets", ("patch",), "the cache is exchanged instead of changed in place"),
        Need("", "pods", ("get", "list"), "before a change nets are waited for by the clock"),
        Need("", "pods", ("delete",), "a node whose disk was full may wait a quarter of an hour"),
        Need("coordination.k8s.io", "leases", ("get", "update"), both_act, settings.daemonset_name),
        Need("coordination.k8s.io", "leases", ("create",), both_act),
        Need("events.k8s.io", "events", ("create", "patch"), "no Event tells what fails"),
        Need("", "events", ("list", "watch"), "why nodes have no pod, and how long pulls take, is not known"),
    ]
    if settings.deployment_name:
        cost = "the cache does not go with the Deployment"
        found.append(Need("apps", "deployments", ("get",), cost, settings.deployment_name))
    if settings.configmap_name:
        cost = "edits take effect only after a restart"
        verbs = ("get", "list", "watch")
        found.append(Need("", "configmaps", verbs, cost, settings.configmap_name))
    for secret in settings.image_pull_secrets:
        cost = "a private registry is not asked whether a tag moved, so a due refresh is always done"
        found.append(Need("", "secrets", ("get",), cost, secret))
    return tuple(found)


NOT_RUN = "pull jobs there are not run"
JOBS = ("imagepulljobs", "imagelistpulljobs")
JOB_NEEDS = (
    *(Need("apps.kruise.io", plural, ("get", "list", "watch", "delete"), NOT_RUN) for plural in JOBS),
    *(Need("apps.kruise.io", f"{plural}/status", ("update",), NOT_RUN) for plural in JOBS),
    Need("", "pods", ("get", "list", "watch", "create", "delete"), NOT_RUN),
    Need("", "configmaps", ("get", "create", "update"), NOT_RUN),
    Need("events.k8s.io", "events", ("create",), "no Event tells what pull jobs do"),
)
"""What pull jobs need in each of their namespaces."""

CLUSTER_NEEDS = (
    Need("", "nodes", ("list", "watch"), "pull jobs are run only where they name nodes or pods"),
    *(
        Need(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            ("get",),
            "whether OpenKruise runs the jobs is not known, so no job is run",
            f"{plural}.apps.kruise.io",
        )
        for plural in (*JOBS, "nodeimages")
    ),
)
"""What pull jobs need in the whole cluster."""


def check_rights(
    settings: Settings, rights: Rights | Unread, of_jobs: Mapping[str, Rights | Unread]
) -> tuple[Finding, ...]:
    """Return one finding for each missing right, or one that says that all are there.

    `of_jobs` are the rights in each namespace of pull jobs; a rule for the whole cluster is among them.
    """
    found = _lacking(needs(settings), rights, f"a Role in namespace {settings.namespace}")
    for namespace, its in of_jobs.items():
        found += _lacking(JOB_NEEDS, its, f"a Role in namespace {namespace}")
    if of_jobs:
        found += _lacking(CLUSTER_NEEDS, next(iter(of_jobs.values())), "a ClusterRole")
    # A reason not to know may be the same for several namespaces.
    return tuple(dict.fromkeys(found)) or (
        Finding("rights", Severity.OK, "everything that helps is allowed"),
    )


def _lacking(asked: Iterable[Need], rights: Rights | Unread, place: str) -> list[Finding]:
    if isinstance(rights, Unread):
        return [Finding("rights", Severity.SKIPPED, rights.reason)]
    lacking = [(need, missing) for need in asked if (missing := _missing(need, rights))]
    if lacking and rights.incomplete:
        why = "the API server does not list all rights (a webhook decides)"
        return [Finding("rights", Severity.SKIPPED, why)]
    return [_finding(need, missing, place) for need, missing in lacking]


def _missing(need: Need, rights: Rights) -> tuple[str, ...]:
    return tuple(
        verb for verb in need.verbs if not rights.allow(verb, need.resource, group=need.group, name=need.name)
    )


def _finding(need: Need, missing: tuple[str, ...], place: str) -> Finding:
    verbs = ", ".join(missing)
    subject = f"{need.resource}/{need.name}" if need.name else need.resource
    remedy = f"Grant {verbs} on {subject} by {place}."
    return Finding("rights", need.state, f"{verbs} is missing: {need.cost}", remedy, subject)
