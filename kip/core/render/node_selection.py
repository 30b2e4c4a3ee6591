"""Which nodes a DaemonSet's pods go to: labels, required node affinity, taints.

Source of the rules: NodeShouldRunDaemonPod (pkg/controller/daemon), AddOrUpdateDaemonPodTolerations
(pkg/controller/daemon/util), component-helpers/scheduling/corev1/nodeaffinity, and ToleratesTaint
(k8s.io/component-helpers). Preferred affinity and affinity to pods play no part there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kip.core.render.taints import written
from kip.core.status.excluded_nodes import ExcludedNode

Node = Mapping[str, Any]

AUTOMATIC = (
    *(
        {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoExecute"}
        for condition in ("not-ready", "unreachable")
    ),
    *(
        {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoSchedule"}
        for condition in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
    ),
)
"""What the DaemonSet controller adds to the tolerations of its pods."""

KEEPS_AWAY = ("NoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def may_add_nodes(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether the pod spec `wanted` could take nodes that `found` does not, whatever nodes there are."""
    labels, before = wanted.get("nodeSelector") or {}, found.get("nodeSelector") or {}
    tolerated = found.get("tolerations") or ()
    affinity = found.get("affinity") or {}
    return (
        not before.items() <= labels.items()
        or any(toleration not in tolerated for toleration in wanted.get("tolerations") or ())
        or bool(affinity and affinity != wanted.get("affinity"))
    )


def is_selected(node: Node, pod: Mapping[str, Any]) -> bool:
    """Whether node selector and required node affinity of the pod spec take this node."""
    labels = node["metadata"].get("labels") or {}
    wanted = pod.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    required = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    if required is None:
        return True
    return any(_term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str], expressions: Sequence[Node]) -> bool:
    """Whether a label selector (`matchLabels`, `matchExpressions`) takes an object with these labels."""
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _requirement_met(one, labels) for one in expressions
    )


def untolerated(node: Node, tolerations: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return the taints that keep a DaemonSet's pods with these tolerations from the node."""
    given = (*tolerations, *AUTOMATIC)
    taints = node.get("spec", {}).get("taints") or ()
    return tuple(
        taint
        for taint in taints
        if taint.get("effect") in KEEPS_AWAY and not any(tolerates(one, taint) for one in given)
    )


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Whether one toleration covers one taint; an empty key or effect covers all."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    asked, given = str(toleration.get("value") or ""), str(taint.get("value") or "")
    operator = toleration.get("operator") or "Equal"
    if operator in ("Lt", "Gt"):
        return _compares(given, asked, operator)
    return operator == "Exists" or asked == given


def _term_matches(term: Mapping[str, Any], node: Node) -> bool:
    """Return whether all requirements are met; a term without any matches no node."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    labels = node["metadata"].get("labels") or {}
    name = {"metadata.name": node["metadata"]["name"]}
    return bool(expressions or fields) and (
        all(_requirement_met(one, labels) for one in expressions)
        and all(_requirement_met(one, name) for one in fields)
    )


def _requirement_met(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = requirement.get("key", ""), requirement.get("operator")
    values: Sequence[str] = requirement.get("values") or ()
    if operator in ("Gt", "Lt"):
        return key in labels and len(values) == 1 and _compares(labels[key], values[0], operator)
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) is (operator == "Exists")
    # NotIn takes nodes without the label too.
    return (labels.get(key) in values) is (operator == "In")


def _compares(found: str, asked: str, operator: str) -> bool:
    if not (_INTEGER.fullmatch(found) and _INTEGER.fullmatch(asked)):
        return False
    return int(found) > int(asked) if operator == "Gt" else int(found) < int(asked)


def selected_nodes(pod: Mapping[str, Any], nodes: Iterable[Node]) -> frozenset[str]:
    """Return the names of those nodes that a DaemonSet of this pod spec goes to, with a pod there or not."""
    tolerations = pod.get("tolerations") or ()
    return frozenset(
        node["metadata"]["name"]
        for node in nodes
        if is_selected(node, pod) and not untolerated(node, tolerations)
    )


def left_out_nodes(pod: Mapping[str, Any], nodes: Iterable[Node]) -> tuple[ExcludedNode, ...]:
    """Return those nodes, by name, that the pod spec selects and that taints keep a DaemonSet's pods from."""
    tolerations = pod.get("tolerations") or ()
    found = (
        ExcludedNode(
            node["metadata"]["name"], tuple(written(taint) for taint in untolerated(node, tolerations))
        )
        for node in nodes
        if is_selected(node, pod)
    )
    return tuple(sorted(one for one in found if one.taints))
