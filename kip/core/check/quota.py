"""Whether the cache fits into the namespace's ResourceQuotas, steadily and while it changes.

A change needs most while an image fails: old pods and new ones, and a net that holds what the old ones pin.
A quota that has no room for all of them stops it for good, as the old pods wait for the new.

Source of the rules: pkg/quota/v1/evaluator/core/pods.go. A quota on a resource also refuses pods that do not
say how much of it they want.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kip.config.quantities import parse_quantity
from kip.core.check.amounts import Amounts, written
from kip.core.check.findings import Finding, Severity, Unread

ALIASES = {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": "pods"}
COUNTED = ("pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
PRIORITY = "PriorityClass"


@dataclass(frozen=True, slots=True)
class QuotaDemand:
    """What the cache asks for: of each pod, on so many nodes, on so many of them twice during a change.

    `net` is what each pod of a net asks for, which may be on all nodes. `holds` is what the pods of the cache
    that stands already take, which a quota counts as used.
    """

    pod: Amounts
    net: Amounts
    nodes: int
    surge: int
    priority_class: str = ""
    holds: Amounts = field(default_factory=dict)

    def steady(self, name: str) -> Decimal:
        """Return what the cache needs of a resource while nothing changes."""
        return self.pod[name] * self.nodes

    def changing(self, name: str) -> Decimal:
        """Return what it needs while a change is rolled and all images are well."""
        return self.pod[name] * (self.nodes + self.surge)

    def most(self, name: str) -> Decimal:
        """Return what it needs while a change is rolled over an image that fails."""
        return self.changing(name) + self.net.get(name, Decimal(0)) * self.nodes


def check_quota(
    quotas: Sequence[Mapping[str, Any]] | Unread, demand: QuotaDemand | Unread
) -> tuple[Finding, ...]:
    """Return one finding for each resource of each quota that counts the cache's pods."""
    if isinstance(demand, Unread):
        if isinstance(quotas, Unread) or quotas:
            return (Finding("quota", Severity.SKIPPED, demand.reason),)
        return (Finding("quota", Severity.OK, "the namespace has no ResourceQuota"),)
    need = (_need(demand),)
    if isinstance(quotas, Unread):
        return (*need, Finding("quota", Severity.SKIPPED, quotas.reason))
    if not quotas:
        return (*need, Finding("quota", Severity.OK, "the namespace has no ResourceQuota"))
    return (*need, *(one for quota in quotas if _counts(quota, demand) for one in _quota(quota, demand)))


def _need(demand: QuotaDemand) -> Finding:
    steady, changing, most = (
        ", ".join(f"{name} {written(name, amount(name))}" for name in COUNTED if name in demand.pod)
        for amount in (demand.steady, demand.changing, demand.most)
    )
    return Finding(
        "quota",
        Severity.OK,
        f"on {demand.nodes} nodes the cache needs {steady}; in a change {changing}; "
        f"with a net, while an image fails, {most}",
    )


def _quota(quota: Mapping[str, Any], demand: QuotaDemand) -> tuple[Finding, ...]:
    status = quota.get("status") or {}
    hard = quota.get("spec", {}).get("hard") or status.get("hard") or {}
    used = status.get("used") or {}
    name = quota["metadata"]["name"]
    return tuple(
        _resource(f"{name}: {key}", ALIASES.get(key, key), hard[key], used.get(key, "0"), demand)
        for key in hard
        if ALIASES.get(key, key) in COUNTED
    )


def _resource(subject: str, name: str, hard: str, used: str, demand: QuotaDemand) -> Finding:
    if name not in demand.pod:
        key = (
            f"CACHING_{name.partition('.')[2].upper()}_{'LIMIT' if name.startswith('limits') else 'REQUEST'}"
        )
        message = f"it refuses pods that do not set {name}, and {key} is 0"
        return Finding("quota", Severity.PROBLEM, message, f"Set {key}.", subject)
    others = max(parse_quantity(used) - demand.holds.get(name, Decimal(0)), Decimal(0))
    free = max(parse_quantity(hard) - others, Decimal(0))
    steady, most = demand.steady(name), demand.most(name)
    room = f"{written(name, free)} of {hard} is free of others"
    if steady > free:
        message = f"the cache needs {written(name, steady)}, and {room}"
        return Finding("quota", Severity.PROBLEM, message, _remedy(name, steady + others), subject)
    if most > free:
        changing = written(name, demand.changing(name))
        message = f"a change needs {changing}, with a net {written(name, most)}, for a while, and {room}"
        remedy = f"{_remedy(name, most + others)} Or lower MAX_SURGE."
        return Finding("quota", Severity.WARNING, message, remedy, subject)
    return Finding("quota", Severity.OK, f"{written(name, most)} at most fits: {room}", subject=subject)


def _remedy(name: str, least: Decimal) -> str:
    return f"Raise the quota to {written(name, least)}, shorten the list or select fewer nodes."


def _counts(quota: Mapping[str, Any], demand: QuotaDemand) -> bool:
    """Whether the quota's scopes take the cache's pods."""
    spec = quota.get("spec", {})
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_in_scope(scope, demand) for scope in scopes)


def _in_scope(scope: Mapping[str, Any], demand: QuotaDemand) -> bool:
    name, operator = scope["scopeName"], scope.get("operator")
    if name == PRIORITY:
        given, values = demand.priority_class, scope.get("values") or ()
        if operator in ("Exists", "DoesNotExist"):
            return bool(given) is (operator == "Exists")
        return (given in values) is (operator == "In")
    best_effort = set(demand.pod) == {"pods"}
    return {"NotTerminating": True, "BestEffort": best_effort, "NotBestEffort": not best_effort}.get(
        name, False
    )
