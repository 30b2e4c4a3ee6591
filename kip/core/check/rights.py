"""Which rights are missing, and what that costs."""

from dataclasses import dataclass

from kip.config.settings import Settings
from kip.core.check.findings import Finding, State, Unread
from kip.core.rights import Rights


@dataclass(frozen=True, slots=True)
class Need:
    """Some verbs on one resource; `cost` is what is missing without them."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    cost: str
    name: str = ""
    state: State = State.WARNING


def needs(settings: Settings) -> tuple[Need, ...]:
    """Return the rights that a keeper with these settings can use, as README.md lists them."""
    both_act = "two keepers of one cache both act"
    found = [
        Need(
            "apps",
            "daemonsets",
            ("get", "list", "watch", "create", "delete"),
            "nothing works",
            state=State.PROBLEM,
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
    if settings.namespace in settings.pull_job_namespaces:
        cost = "pull jobs of this namespace are not run"
        found += [
            Need("apps.kruise.io", plural, ("get", "list", "watch", "delete"), cost)
            for plural in ("imagepulljobs", "imagelistpulljobs")
        ]
        found.append(Need("", "pods", ("watch", "create", "delete"), cost))
        found.append(Need("", "configmaps", ("get", "create", "update"), cost))
    for secret in settings.image_pull_secrets:
        cost = "a private registry is not asked whether a tag moved, so a due refresh is always done"
        found.append(Need("", "secrets", ("get",), cost, secret))
    return tuple(found)


def check_rights(settings: Settings, rights: Rights | Unread) -> tuple[Finding, ...]:
    """Return one finding for each missing right, or one that says that all are there."""
    if isinstance(rights, Unread):
        return (Finding("rights", State.SKIPPED, rights.reason),)
    lacking = [(need, missing) for need in needs(settings) if (missing := _missing(need, rights))]
    if lacking and rights.incomplete:
        return (
            Finding("rights", State.SKIPPED, "the API server does not list all rights (a webhook decides)"),
        )
    if not lacking:
        return (Finding("rights", State.OK, "everything that helps is allowed"),)
    return tuple(_finding(need, missing, settings.namespace) for need, missing in lacking)


def _missing(need: Need, rights: Rights) -> tuple[str, ...]:
    return tuple(
        verb for verb in need.verbs if not rights.allow(verb, need.resource, group=need.group, name=need.name)
    )


def _finding(need: Need, missing: tuple[str, ...], namespace: str) -> Finding:
    verbs = ", ".join(missing)
    subject = f"{need.resource}/{need.name}" if need.name else need.resource
    remedy = f"Grant {verbs} on {subject} by a Role in namespace {namespace}."
    return Finding("rights", need.state, f"{verbs} is missing: {need.cost}", remedy, subject)
