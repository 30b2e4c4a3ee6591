"""The cache's namespace: whether it is there, what it enforces, and the Secrets to pull with."""

from collections.abc import Mapping
from typing import Any

from kip.core.check.findings import Finding, Severity, Unread

ENFORCE = "pod-security.kubernetes.io/enforce"
LEVELS = ("privileged", "baseline", "restricted")
CREDENTIALS = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
"""Types of Secret that a kubelet pulls with."""


def check_namespace(name: str, found: Mapping[str, Any] | Unread | None) -> tuple[Finding, ...]:
    """Return what is to be said about the namespace and its Pod Security level."""
    if isinstance(found, Unread):
        return tuple(
            Finding(check, Severity.SKIPPED, found.reason) for check in ("namespace", "pod security")
        )
    if found is None:
        remedy = f"Make it: kubectl create namespace {name}."
        return (Finding("namespace", Severity.PROBLEM, "there is no such namespace", remedy, name),)
    if found["metadata"].get("deletionTimestamp"):
        remedy = "Wait until it is gone and make it anew, or set NAMESPACE."
        return (Finding("namespace", Severity.PROBLEM, "it is being deleted", remedy, name),)
    level = (found["metadata"].get("labels") or {}).get(ENFORCE, "")
    return (Finding("namespace", Severity.OK, "it is there", subject=name), _pod_security(level))


def check_secrets(found: Mapping[str, str | Unread | None]) -> tuple[Finding, ...]:
    """Return one finding for each pull secret; `found` maps its name to its type, None if there is none."""
    if not found:
        return (Finding("pull secrets", Severity.OK, "none is asked for"),)
    return tuple(_secret(name, kind) for name, kind in found.items())


def _pod_security(level: str) -> Finding:
    if level and level not in LEVELS:
        remedy = f"Write one of {', '.join(LEVELS)} into the namespace's label {ENFORCE}."
        return Finding("pod security", Severity.WARNING, f"the level {level!r} is unknown", remedy, ENFORCE)
    message = f"the namespace enforces {level}" if level else "the namespace enforces no level"
    return Finding("pod security", Severity.OK, f"{message}; the cache's pods meet restricted, the strictest")


def _secret(name: str, kind: str | Unread | None) -> Finding:
    if isinstance(kind, Unread):
        return Finding("pull secrets", Severity.SKIPPED, kind.reason, subject=name)
    if kind is None:
        remedy = f"Make it with kubectl create secret docker-registry {name}, or remove it from the list."
        return Finding("pull secrets", Severity.PROBLEM, "there is no such Secret", remedy, name)
    if kind not in CREDENTIALS:
        remedy = f"Make it anew with kubectl create secret docker-registry {name}."
        return Finding(
            "pull secrets", Severity.PROBLEM, f"its type {kind} is no registry credential", remedy, name
        )
    return Finding("pull secrets", Severity.OK, "it is there", subject=name)
