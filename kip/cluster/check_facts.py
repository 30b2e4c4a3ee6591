"""Reads what `kip check` looks at. What may not be read is told as such; it never ends the check."""

from collections.abc import Callable
from typing import TypeVar

from kip.cluster.api import (
    DAEMONSETS,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    QUOTAS,
    SECRETS,
    Cluster,
    Manifest,
    Selection,
)
from kip.core.check.findings import Unread
from kip.core.check.run_checks import Facts
from kip.core.rights import Rights
from kip.errors import Forbidden, KipError

T = TypeVar("T")


def read_facts(
    cluster: Cluster,
    namespace: str,
    daemonset: str,
    secrets: tuple[str, ...],
    job_namespaces: tuple[str, ...] = (),
) -> Facts:
    """Ask for each thing by itself."""
    rights = _read("the rights", lambda: cluster.rights(namespace))
    if isinstance(rights, Unread):
        return no_facts(rights.reason, secrets)  # no answer now is none to the others either
    return Facts(
        rights=rights,
        namespace=_read("the namespace", lambda: cluster.get(NAMESPACES, "", namespace)),
        nodes=_read("nodes", lambda: cluster.list_all(Selection(NODES, "")).items),
        quotas=_read("resourcequotas", lambda: cluster.list_all(Selection(QUOTAS, namespace)).items),
        limit_ranges=_read("limitranges", lambda: cluster.list_all(Selection(LIMIT_RANGES, namespace)).items),
        daemonset=_read("the DaemonSet", lambda: cluster.get(DAEMONSETS, namespace, daemonset)),
        secrets={name: _secret_type(cluster, namespace, name) for name in secrets},
        job_rights={name: _rights(cluster, name) for name in job_namespaces},
    )


def no_facts(reason: str, secrets: tuple[str, ...] = ()) -> Facts:
    """Return facts of which none could be read."""
    unread = Unread(reason)
    return Facts(unread, unread, unread, unread, unread, unread, dict.fromkeys(secrets, unread))


def _rights(cluster: Cluster, namespace: str) -> Rights | Unread:
    return _read(f"the rights in namespace {namespace}", lambda: cluster.rights(namespace))


def _secret_type(cluster: Cluster, namespace: str, name: str) -> str | Unread | None:
    """Only the type leaves this function, never what is in the Secret."""

    def look() -> Manifest | None:
        return cluster.get(SECRETS, namespace, name)

    found = _read(f"secret {name}", look)
    if found is None or isinstance(found, Unread):
        return found
    return str(found.get("type", ""))


def _read(what: str, ask: Callable[[], T]) -> T | Unread:
    try:
        return ask()
    except Forbidden:
        return Unread(f"these credentials may not read {what}")
    except KipError as error:
        return Unread(str(error))
