"""The rights that `kip pull` needs, as manifests."""

from typing import Any

NAME = "kip-pull"
_PODS = ["get", "list", "watch", "create", "delete"]


def rbac(namespace: str, *, nodes_named: bool) -> list[dict[str, Any]]:
    """Return an account with its Role, and with a ClusterRole unless the nodes are named."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": _PODS},
        # Only for the seconds and bytes of each pull; everything else works without.
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    ]
    found = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}},
        _role("Role", rules, namespace),
        _binding("Role", subject, namespace),
    ]
    if not nodes_named:
        nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]
        found += [_role("ClusterRole", nodes), _binding("ClusterRole", subject)]
    return found


def _metadata(namespace: str) -> dict[str, str]:
    return {"name": NAME, **({"namespace": namespace} if namespace else {})}


def _role(kind: str, rules: list[dict[str, Any]], namespace: str = "") -> dict[str, Any]:
    api = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": _metadata(namespace), "rules": rules}


def _binding(kind: str, subject: dict[str, str], namespace: str = "") -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(namespace),
        "roleRef": {"apiGroup": group, "kind": kind, "name": NAME},
        "subjects": [subject],
    }
