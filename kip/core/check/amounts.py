"""What the cache's pods ask of a namespace, and how to write amounts."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from kip.config.quantities import parse_quantity

RESOURCES = ("cpu", "memory")
Amounts = Mapping[str, Decimal]
"""By the names that a quota uses: `requests.cpu`, `limits.memory`; what is not set is not there."""


def container_amounts(
    resources: Mapping[str, Any], limit_ranges: Sequence[Mapping[str, Any]] = ()
) -> Amounts:
    """Return requests and limits of one container as the API server stores them.

    A request that is not set is its limit (SetDefaults_Pod); then the defaults of a LimitRange fill what is
    still missing (plugin/pkg/admission/limitranger).
    """
    found: dict[str, Decimal] = {}
    for resource in RESOURCES:
        limit = (resources.get("limits") or {}).get(resource)
        request = (resources.get("requests") or {}).get(resource, limit)
        limit = limit or _default("default", resource, limit_ranges)
        request = request or _default("defaultRequest", resource, limit_ranges) or limit
        if request:
            found[f"requests.{resource}"] = parse_quantity(request)
        if limit:
            found[f"limits.{resource}"] = parse_quantity(limit)
    return found


def pod_amounts(pod: Mapping[str, Any], limit_ranges: Sequence[Mapping[str, Any]] = ()) -> Amounts:
    """Return the sums over the containers; the init container, which is no larger than one, adds nothing."""
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    for container in pod["containers"]:
        for name, amount in container_amounts(container.get("resources") or {}, limit_ranges).items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def items_of(limit_ranges: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Return the limits for `Container` or `Pod` of all LimitRanges."""
    items = (item for found in limit_ranges for item in found.get("spec", {}).get("limits") or ())
    return [item for item in items if item.get("type") == kind]


def surge_nodes(max_surge: str, nodes: int) -> int:
    """Return on how many nodes two pods stand during a change; a percentage is rounded up."""
    if max_surge.endswith("%"):
        part = Decimal(max_surge[:-1]) * nodes / 100
        return min(nodes, int(part.to_integral_value(ROUND_CEILING)))
    return min(nodes, int(max_surge))


def written(name: str, amount: Decimal) -> str:
    """Return an amount as people write it: memory in Mi, anything else as a plain number.

    >>> written("limits.memory", Decimal(20971520)), written("requests.cpu", Decimal("0.50"))
    ('20Mi', '0.5')
    """
    if "memory" in name:
        return f"{format((amount / 1024**2).quantize(Decimal('.1')).normalize(), 'f')}Mi"
    return format(amount.normalize(), "f")


def _default(field: str, resource: str, limit_ranges: Sequence[Mapping[str, Any]]) -> str:
    found = (str((item.get(field) or {}).get(resource, "")) for item in items_of(limit_ranges, "Container"))
    return next(filter(None, found), "")
