"""Whether the cache's containers and pods lie within the namespace's LimitRanges.

Source of the rules: plugin/pkg/admission/limitranger (PodValidateLimitFunc).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kip.config.quantities import parse_quantity
from kip.core.check.amounts import RESOURCES, Amounts, container_amounts, items_of, pod_amounts, written
from kip.core.check.findings import Finding, Severity, Unread


def check_limit_ranges(
    limit_ranges: Sequence[Mapping[str, Any]] | Unread, pod: Mapping[str, Any]
) -> tuple[Finding, ...]:
    """Return one finding for each bound that is passed, or one that says that none is."""
    if isinstance(limit_ranges, Unread):
        return (Finding("limit range", Severity.SKIPPED, limit_ranges.reason),)
    if not limit_ranges:
        return (Finding("limit range", Severity.OK, "the namespace has no LimitRange"),)
    # All cache containers ask for the same.
    one = container_amounts(pod["containers"][0].get("resources") or {}, limit_ranges)
    amounts = {"Container": one, "Pod": pod_amounts(pod, limit_ranges)}
    found = tuple(
        finding
        for kind, asked in amounts.items()
        for item in items_of(limit_ranges, kind)
        for resource in RESOURCES
        for finding in _outside(kind, item, resource, asked)
    )
    return found or (Finding("limit range", Severity.OK, "containers and pods are within it"),)


def _outside(kind: str, item: Mapping[str, Any], resource: str, asked: Amounts) -> list[Finding]:
    found = []
    limit, request = f"limits.{resource}", f"requests.{resource}"
    largest, least = (item.get("max") or {}).get(resource), (item.get("min") or {}).get(resource)
    for bound, name, word in ((largest, limit, "most"), (least, request, "least")):
        if not bound:
            continue
        if name not in asked:
            message = f"a {kind.lower()} has to say its {name}, of at {word} {bound}"
        elif (
            (asked[name] > parse_quantity(bound)) if word == "most" else (asked[name] < parse_quantity(bound))
        ):
            message = (
                f"a {kind.lower()}'s {name} is {written(name, asked[name])}, and at {word} {bound} is allowed"
            )
        else:
            continue
        key = f"CACHING_{resource.upper()}_{'LIMIT' if name == limit else 'REQUEST'}"
        found.append(
            Finding("limit range", Severity.PROBLEM, message, f"Change {key}, or the LimitRange.", key)
        )
    ratio = (item.get("maxLimitRequestRatio") or {}).get(resource)
    if ratio and asked.get(request) and asked.get(limit, 0) / asked[request] > parse_quantity(ratio):
        message = f"a {kind.lower()}'s {limit} is more than {ratio} times its request"
        remedy = f"Raise CACHING_{resource.upper()}_REQUEST, or lower the limit."
        found.append(
            Finding("limit range", Severity.PROBLEM, message, remedy, f"CACHING_{resource.upper()}_LIMIT")
        )
    return found
