"""All checks together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kip.config.notes import Note
from kip.config.settings import Platform, Reading, Settings
from kip.core.check.amounts import Amounts, pod_amounts, surge_nodes
from kip.core.check.findings import CHECKS, Finding, Severity, Unread
from kip.core.check.image_list import check_list, check_notes, check_problems
from kip.core.check.limit_range import check_limit_ranges
from kip.core.check.namespace import check_namespace, check_secrets
from kip.core.check.nodes import NodeCoverage, check_nodes, node_coverage
from kip.core.check.quota import QuotaDemand, check_quota
from kip.core.check.rights import check_rights
from kip.core.render.daemonset import render
from kip.core.rights import Rights
from kip.core.rollout.bridge import without_requests
from kip.errors import Problem

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of the cluster, each by itself; None for an object that is not there.

    `secrets` maps the name of a pull secret to its type, `job_rights` a namespace of pull jobs to the rights
    there.
    """

    rights: Rights | Unread
    namespace: Manifest | Unread | None
    nodes: Sequence[Manifest] | Unread
    quotas: Sequence[Manifest] | Unread
    limit_ranges: Sequence[Manifest] | Unread
    daemonset: Manifest | Unread | None
    secrets: Mapping[str, str | Unread | None] = field(default_factory=dict)
    job_rights: Mapping[str, Rights | Unread] = field(default_factory=dict)


def check(reading: Reading, facts: Facts) -> tuple[Finding, ...]:
    """Return all findings, in the order of the table of checks."""
    settings = reading.settings
    platform = Platform.KUBERNETES if settings.platform is Platform.AUTO else settings.platform
    daemonset = render(settings, platform=platform)
    pod = daemonset["spec"]["template"]["spec"]
    reached = facts.nodes if isinstance(facts.nodes, Unread) else node_coverage(facts.nodes, pod)
    return (
        *check_notes(reading.notes),
        *check_list(settings, daemonset),
        *check_rights(settings, facts.rights, facts.job_rights),
        *check_namespace(settings.namespace, facts.namespace),
        *check_secrets(facts.secrets),
        *check_nodes(reached, len(settings.images)),
        *check_quota(facts.quotas, _demand(settings, pod, reached, facts)),
        *check_limit_ranges(facts.limit_ranges, pod),
    )


def without_settings(problems: Iterable[Problem], notes: Iterable[Note]) -> tuple[Finding, ...]:
    """Return what can be said when the settings cannot be used: why, and that nothing else was checked."""
    found = (*check_problems(problems), *(one for one in check_notes(notes) if one.state is not Severity.OK))
    told = {"settings", "images"}
    reason = "the settings cannot be used"
    rest = (Finding(row.name, Severity.SKIPPED, reason) for row in CHECKS if row.name not in told)
    return (*found, *rest)


def _demand(
    settings: Settings, pod: Mapping[str, Any], reached: NodeCoverage | Unread, facts: Facts
) -> QuotaDemand | Unread:
    limit_ranges = () if isinstance(facts.limit_ranges, Unread) else facts.limit_ranges
    nodes = _nodes(reached, facts.daemonset)
    if isinstance(nodes, Unread):
        return nodes
    return QuotaDemand(
        pod=pod_amounts(pod, limit_ranges),
        net=pod_amounts({"containers": list(map(without_requests, pod["containers"]))}, limit_ranges),
        nodes=nodes,
        surge=surge_nodes(settings.max_surge, nodes),
        priority_class=settings.caching_priority_class,
        holds=_holds(facts.daemonset, limit_ranges),
    )


def _nodes(reached: NodeCoverage | Unread, daemonset: Manifest | Unread | None) -> int | Unread:
    """Return the number of nodes; who may not list them has it from the cache that stands already."""
    if isinstance(reached, NodeCoverage):
        return reached.reached
    if daemonset and not isinstance(daemonset, Unread):
        return int((daemonset.get("status") or {}).get("desiredNumberScheduled", 0))
    return reached


def _holds(daemonset: Manifest | Unread | None, limit_ranges: Sequence[Manifest]) -> Amounts:
    if not daemonset or isinstance(daemonset, Unread):
        return {}
    pods = Decimal((daemonset.get("status") or {}).get("currentNumberScheduled", 0))
    amounts = pod_amounts(daemonset["spec"]["template"]["spec"], limit_ranges)
    return {name: amount * pods for name, amount in amounts.items()}
