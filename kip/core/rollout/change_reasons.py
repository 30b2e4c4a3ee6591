"""Why the cache has to change, in words for people."""

from collections.abc import Iterator
from typing import Any

from kip.core.render.daemonset import REFRESHED_AT, TEMPLATE
from kip.core.rollout.differences import differences
from kip.core.rollout.ownership import written_annotations

Manifest = dict[str, Any]

REASONS_SHOWN = 12
"""How many differences are named; a taken-over cache may differ in hundreds of places."""

FINGERPRINT = f"spec.template.metadata.annotations.{TEMPLATE}"


def reasons_to_change(wanted: Manifest, expected: Manifest, found: Manifest) -> tuple[str, ...]:
    """Return what differs, in words: none when the cache is as it should be.

    `expected` is what the API server makes of `wanted`. The spec must match exactly; of the metadata counts
    only what kip sets.
    """
    reasons = [*_annotation_reasons(wanted["metadata"], found["metadata"])]
    owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}
    reasons += [
        f"owner {reference['kind']} {reference['name']} is missing"
        for reference in wanted["metadata"].get("ownerReferences") or ()
        if reference["uid"] not in owners
    ]
    images = {item["name"] for item in expected["spec"]["template"]["spec"]["containers"]}
    places = list(differences(expected["spec"], found["spec"], "spec"))
    if len(places) > 1 and FINGERPRINT in places:
        places.remove(FINGERPRINT)  # it differs because something else does
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
