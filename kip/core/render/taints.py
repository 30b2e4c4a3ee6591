"""Taints: how they are written, which pass by themselves, and the toleration that covers one.

A taint is written as kubectl writes it, `key=value:effect`, without `=value` where it has none. Neither key
nor value can contain `=` or `:` (apimachinery, validation of qualified names and label values).
"""

from collections.abc import Iterable, Mapping
from typing import Any

PASSING = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that Kubernetes itself puts on a node, for as long as it is not well."""

STARTING = (
    "karpenter.sh/",
    "node.cluster.x-k8s.io/uninitialized",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
)
"""Those of what makes and removes nodes, while it is about to."""

AGENT_STARTING = "/agent-not-ready"
"""How those end that network and storage plug-ins wait behind: node.cilium.io, ebs.csi.aws.com."""


def written(taint: Mapping[str, Any]) -> str:
    """Return a taint as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def is_passing(taint: str) -> bool:
    """Whether a taint, as it is written, goes by itself once the node is well, as far as its key says."""
    return taint.startswith((*PASSING, *STARTING)) or _key(taint).endswith(AGENT_STARTING)


def tolerations_for(taints: Iterable[str]) -> tuple[dict[str, str], ...]:
    """Return what TOLERATIONS lacks for these taints, as they are written, each once."""
    found = dict.fromkeys((_key(taint), taint.rpartition(":")[2]) for taint in taints)
    return tuple({"key": key, "operator": "Exists", "effect": effect} for key, effect in found)


def _key(taint: str) -> str:
    return taint.rpartition(":")[0].partition("=")[0]
