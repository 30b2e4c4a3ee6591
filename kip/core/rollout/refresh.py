"""When the nodes are told to look at moving tags again, and whether there is anything new for them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kip.config.settings import Refresh, Settings
from kip.core.render.daemonset import DIGESTS, REFRESHED_AT, has_moving_tags
from kip.errors import KipError, RegistryRefused, RegistryUnavailable

Manifest = dict[str, Any]

SPREAD = 0.1
"""Share of the interval over which the refreshes of many clusters are spread, to spare their registry."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the pods carry of the last refresh: its time (RFC 3339), and the digests of the tags then."""

    refreshed_at: str = ""
    digests: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the registries say about moving tags: which moved, of which they do not tell, which are away."""

    moved: tuple[str, ...]
    untold: tuple[str, ...]
    away: tuple[str, ...]
    retry_after: float = 0.0


def refresh_due(settings: Settings, daemonset: Manifest) -> datetime | None:
    """Return when the next refresh is due, None when the settings ask for none.

    That is an interval after the last one, and up to a tenth more: how much, each cache has of its own.
    """
    if settings.refresh is Refresh.NEVER:
        return None
    if settings.refresh is Refresh.AUTO and not has_moving_tags(settings):
        return None
    last = stamp_of(daemonset).refreshed_at or daemonset["metadata"]["creationTimestamp"]
    return _parse(last) + settings.caching_interval * (1 + SPREAD * _share(daemonset["metadata"]["uid"]))


def stamp_of(daemonset: Manifest | None) -> Stamp:
    """Return the stamp that the pods of the cache carry; empty before the first refresh."""
    if daemonset is None:
        return Stamp()
    annotations = daemonset["spec"]["template"]["metadata"].get("annotations") or {}
    stamp = str(annotations.get(REFRESHED_AT, ""))
    try:
        _parse(stamp)
    except ValueError:
        return Stamp()  # somebody wrote there; the next refresh puts it right
    return Stamp(stamp, str(annotations.get(DIGESTS, "")))


def new_stamp(now: datetime, digests: Mapping[str, str]) -> Stamp:
    """Return the stamp of a refresh that begins now."""
    return Stamp(now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), _written(digests))


def known_digests(stamp: Stamp) -> dict[str, str]:
    """Return image -> digest as of the last refresh; empty when nothing is known."""
    try:
        found = json.loads(stamp.digests or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def digests_for(settings: Settings, stamp: Stamp) -> str:
    """Return the digests of the stamp, without images that are not listed any more."""
    listed = {item.image for item in settings.images}
    kept = {image: digest for image, digest in known_digests(stamp).items() if image in listed}
    return _written(kept)


def judge(
    answers: Mapping[str, str | KipError], known: Mapping[str, str], seen: Mapping[str, frozenset[str]]
) -> Verdict:
    """Compare what the registries answered with what is `known` of the last refresh, or else `seen` on nodes.

    A tag of which neither is known counts as moved. One that is gone has not moved: no node could pull it.
    """
    moved, untold, away, retry_after = [], [], [], 0.0
    for image, answer in answers.items():
        if isinstance(answer, str):
            before = frozenset({known[image]}) if image in known else seen.get(image, frozenset())
            if before != {answer}:
                moved.append(image)
        elif isinstance(answer, RegistryUnavailable):
            away.append(image)
            retry_after = max(retry_after, answer.retry_after or 0.0)
        elif not (isinstance(answer, RegistryRefused) and answer.missing):
            untold.append(image)
    return Verdict(tuple(moved), tuple(untold), tuple(away), retry_after)


def digests_on_nodes(pods: Iterable[Manifest]) -> dict[str, frozenset[str]]:
    """Return image -> digests that run on nodes ("" for one whose runtime does not tell), from cache pods.

    One that is being deleted is no sign of a tag that moved: on a node that died it may be so for days.
    """
    found: dict[str, set[str]] = {}
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        images = {item["name"]: item["image"] for item in pod["spec"]["containers"]}
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if "running" in (status.get("state") or {}) and status["name"] in images:
                digest = str(status.get("imageID") or "").rpartition("@")[2]
                found.setdefault(images[status["name"]], set()).add(digest)
    return {image: frozenset(digests) for image, digests in found.items()}


def _written(digests: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(digests.items())), separators=(",", ":")) if digests else ""


def _share(uid: str) -> float:
    """Return a number from 0 to 1 that is always the same for the same object."""
    return int(hashlib.sha256(uid.encode()).hexdigest()[:8], base=16) / 0xFFFFFFFF


def _parse(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
