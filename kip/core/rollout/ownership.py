"""Whose DaemonSet is it? kip changes and deletes only its own, and those of the puller it replaces."""

from collections.abc import Collection
from typing import Any

from kip.config.mappings import TEMPLATE_GENERATION
from kip.core.render.daemonset import UPSTREAM_LABELS, Owner
from kip.core.rollout.bridge import NET_OF

Manifest = dict[str, Any]


FIELD_MANAGER = "kip"
WRITTEN_BY = "kip.dev/written-by"
"""Annotation of the cache: when the keeper that wrote it last had started (RFC 3339), and its name."""

NEWER_PATIENCE = 600.0
"""Seconds for which a keeper leaves cache and nets to one that started later and has not changed them since.

In a rolling update of the keeper without a Lease two run for a moment, perhaps with different settings. If
the newer one is gone for good, the older one goes on.
"""

_CONTROLLERS = {"kube-controller-manager"}
_UNCOMPARED = {TEMPLATE_GENERATION, WRITTEN_BY}
"""Annotations that kip's field manager writes, or the API server in its name, but no settings ask for."""


def foreign_owner(daemonset: Manifest, owner: Owner | None) -> str:
    """Return "" when the DaemonSet is ours to change, else who it belongs to, for people.

    Ours is: what our Deployment owns; what kip's field manager wrote and no other object owns; and an
    upstream cache (known by its selector, which is fixed in upstream's code) that no other object owns.
    """
    owners = daemonset["metadata"].get("ownerReferences") or []
    if _is_owned_by(daemonset, owner):
        return ""
    # An owner of our Deployment's name but another uid is our Deployment before it was made anew.
    others = [ref for ref in owners if not _is_former_self(ref, owner)]
    if others:
        return f"{others[0].get('kind', 'object')} {others[0].get('name', '?')}"
    managers = _managers(daemonset)
    if FIELD_MANAGER in managers or _has_upstream_selector(daemonset):
        return ""
    return f"field manager {', '.join(managers)}" if managers else "nobody that kip knows"


def is_own_bridge(daemonset: Manifest, owner: Owner | None, names: Collection[str]) -> bool:
    """Whether a keeper of ours spread this net: our Deployment owns it, or its cache is one of `names`."""
    of = (daemonset["metadata"].get("labels") or {}).get(NET_OF)
    if of is None or foreign_owner(daemonset, owner):
        return False
    return of in names or _is_owned_by(daemonset, owner)


def is_former_cache(daemonset: Manifest, owner: Owner | None, names: Collection[str]) -> bool:
    """Whether this was our cache before it was renamed: our Deployment owns it, or it is one of `names`.

    `names` are those that this very keeper had used. Of a cache without an owner nobody else can tell.
    """
    if not _has_upstream_selector(daemonset) or foreign_owner(daemonset, owner):
        return False
    return daemonset["metadata"]["name"] in names or _is_owned_by(daemonset, owner)


def written_annotations(metadata: Manifest) -> set[str]:
    """Return the keys of the annotations that kip's field manager wrote: it may remove those again."""
    fields = (
        entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:annotations", {})
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == FIELD_MANAGER
    )
    keys = {key.removeprefix("f:") for annotations in fields for key in annotations if key != "."}
    return keys - _UNCOMPARED


def last_writers(daemonset: Manifest) -> list[str]:
    """Return who wrote the object last, by field managers; several if it was in the same second."""
    entries = [
        entry
        for entry in daemonset["metadata"].get("managedFields") or ()
        if entry.get("subresource") != "status" and entry.get("manager") not in _CONTROLLERS
    ]
    others = [entry for entry in entries if entry.get("manager") != FIELD_MANAGER] or entries
    last = max((entry.get("time", "") for entry in others), default="")
    found = {entry.get("manager", "?") for entry in others if entry.get("time", "") == last}
    return ["another keeper" if name == FIELD_MANAGER else name for name in sorted(found)] or ["somebody"]


def newer_keeper(daemonset: Manifest, started: str) -> str:
    """Return the name of the keeper that wrote this last if it started after `started`, else ""."""
    written = str((daemonset["metadata"].get("annotations") or {}).get(WRITTEN_BY, ""))
    began, _, name = written.partition(" ")
    return name if started and began > started else ""


def _is_owned_by(daemonset: Manifest, owner: Owner | None) -> bool:
    references = daemonset["metadata"].get("ownerReferences") or ()
    return owner is not None and any(reference.get("uid") == owner.uid for reference in references)


def _is_former_self(reference: Manifest, owner: Owner | None) -> bool:
    return owner is not None and reference.get("kind") == "Deployment" and reference.get("name") == owner.name


def _has_upstream_selector(daemonset: Manifest) -> bool:
    labels = daemonset["spec"]["selector"].get("matchLabels") or {}
    return UPSTREAM_LABELS.items() <= labels.items()


def _managers(daemonset: Manifest) -> list[str]:
    """Return the field managers that wrote the spec, sorted; the controller only writes the status."""
    entries = daemonset["metadata"].get("managedFields") or []
    return sorted({entry.get("manager", "?") for entry in entries if entry.get("subresource") != "status"})
