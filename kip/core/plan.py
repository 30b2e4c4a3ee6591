"""What is to be done so that the cluster holds what the settings say: a pure value, with reasons.

The API server's own view of the wanted cache (the answer to a dry run, with its defaults filled in) is
compared with what is there. So validity and drift come from one question, and no list of defaults is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from kip.config.settings import Refresh, Settings
from kip.core.compare import differences
from kip.core.ownership import stranger, written_annotations
from kip.core.render import REFRESHED_AT, Owner, has_moving_tags
from kip.core.rights import Rights

Manifest = dict[str, Any]
REASONS_SHOWN = 12
"""How many differences a plan names; a taken-over cache may differ in hundreds of places."""


class Action(StrEnum):
    """What one step does to the DaemonSet."""

    CREATE = "create"
    APPLY = "apply"
    """In place, by server-side apply."""
    REPLACE = "replace"
    """Without the right to patch: delete it, orphan its pods, create it anew; it adopts and rolls them."""
    WAIT = "wait"
    """It is being deleted; its end wakes the keeper."""
    REFUSE = "refuse"
    """It belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The cluster as it was read at the beginning of a reconcile."""

    daemonset: Manifest | None
    owner: Owner | None
    rights: Rights


@dataclass(frozen=True, slots=True)
class Step:
    """One action on the DaemonSet `name`, and why.

    `manifest` is what to write and `spec` the spec that the API server makes of it; `uid` and
    `generation` are those of the object that was looked at ("" and 0 for none): the step changes no other.
    """

    action: Action
    namespace: str
    name: str
    reasons: tuple[str, ...]
    manifest: Manifest
    spec: Manifest
    uid: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in order; none means that everything is as it should be."""

    steps: tuple[Step, ...] = ()

    @property
    def summary(self) -> str:
        """Return the actions in a word or two: `apply`, `nothing`."""
        return ", ".join(step.action.value for step in self.steps) or "nothing"


def make_plan(wanted: Manifest, expected: Manifest, observed: Observed) -> Plan:
    """Return what leads from `observed` to `wanted`.

    `wanted` is the rendered DaemonSet, `expected` the same after a dry run by the API server.
    """
    found = observed.daemonset
    if found is None:
        return _single(Action.CREATE, wanted, expected, ("there is no such DaemonSet",))
    if whose := stranger(found, observed.owner):
        return _single(Action.REFUSE, wanted, expected, (f"it belongs to {whose}",), found)
    if found["metadata"].get("deletionTimestamp"):
        return _single(Action.WAIT, wanted, expected, ("it is being deleted",), found)
    reasons = _reasons(wanted, expected, found)
    if not reasons:
        return Plan()
    in_place = observed.rights.allow("patch", "daemonsets", group="apps", name=found["metadata"]["name"])
    return _single(Action.APPLY if in_place else Action.REPLACE, wanted, expected, reasons, found)


def _single(
    action: Action,
    wanted: Manifest,
    expected: Manifest,
    reasons: tuple[str, ...],
    found: Manifest | None = None,
) -> Plan:
    metadata, seen = wanted["metadata"], found["metadata"] if found else {}
    step = Step(
        action,
        metadata["namespace"],
        metadata["name"],
        reasons,
        manifest=wanted,
        spec=expected["spec"],
        uid=seen.get("uid", ""),
        generation=seen.get("generation", 0),
    )
    return Plan((step,))


def refresh_stamp(settings: Settings, daemonset: Manifest | None, now: datetime) -> str:
    """Return the time of the refresh that the pods should carry: the last one, or `now` when one is due."""
    if daemonset is None:
        return ""
    last = last_refresh(daemonset)
    due = refresh_due(settings, daemonset)
    return _format(now) if due and now >= due else last


def refresh_due(settings: Settings, daemonset: Manifest) -> datetime | None:
    """Return when the next refresh is due, None when the settings ask for none."""
    if settings.refresh is Refresh.NEVER:
        return None
    if settings.refresh is Refresh.AUTO and not has_moving_tags(settings):
        return None
    last = last_refresh(daemonset) or daemonset["metadata"]["creationTimestamp"]
    return _parse(last) + settings.caching_interval


def last_refresh(daemonset: Manifest) -> str:
    """Return the time of the last refresh as the pods carry it, "" before the first."""
    annotations = daemonset["spec"]["template"]["metadata"].get("annotations") or {}
    stamp = str(annotations.get(REFRESHED_AT, ""))
    try:
        _parse(stamp)
    except ValueError:
        return ""  # somebody wrote there; the next refresh puts it right
    return stamp


def _reasons(wanted: Manifest, expected: Manifest, found: Manifest) -> tuple[str, ...]:
    """Return what differs, in words. The spec must match exactly; of the metadata only what kip sets."""
    reasons = [*_annotation_reasons(wanted["metadata"], found["metadata"])]
    owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}
    reasons += [
        f"owner {reference['kind']} {reference['name']} is missing"
        for reference in wanted["metadata"].get("ownerReferences") or ()
        if reference["uid"] not in owners
    ]
    images = {item["name"] for item in expected["spec"]["template"]["spec"]["containers"]}
    places = differences(expected["spec"], found["spec"], "spec")
    reasons += sorted((_in_words(path, images) for path in places), key=_images_first)
    if len(reasons) > REASONS_SHOWN:
        reasons[REASONS_SHOWN:] = [f"and {len(reasons) - REASONS_SHOWN} more"]
    return tuple(reasons)


def _annotation_reasons(wanted: Manifest, found: Manifest) -> Iterator[str]:
    annotations, there = wanted.get("annotations") or {}, found.get("annotations") or {}
    for key, value in annotations.items():
        if there.get(key) != value:
            yield f"annotation {key} differs"
    for key in sorted(written_annotations(found) & there.keys() - annotations.keys()):
        yield f"annotation {key} is no longer wanted"


def _in_words(path: str, images: set[str]) -> str:
    pod = "spec.template.spec."
    if path == f"spec.template.metadata.annotations.{REFRESHED_AT}":
        return "refresh is due"
    if path.startswith(f"{pod}containers["):
        name, _, rest = path.removeprefix(f"{pod}containers[").partition("]")
        if rest:
            return f"image {name}: {rest.lstrip('.')} differs"
        return f"image {name} is missing" if name in images else f"image {name} is not on the list"
    return f"{path.removeprefix(pod)} differs"


def _images_first(reason: str) -> bool:
    """Sort key: of many differences those between the image lists tell people most."""
    return not reason.startswith("image ")


def _parse(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
