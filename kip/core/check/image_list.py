"""What the settings alone tell: entries, tags, counts, sizes, the memory limit."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kip.config.images import KEY as IMAGES
from kip.config.notes import Note
from kip.config.quantities import parse_quantity
from kip.config.references import parse_reference
from kip.config.resources import ADVISABLE_MEMORY, LEAST_MEMORY
from kip.config.settings import Settings
from kip.core.check.findings import Finding, Severity
from kip.core.text import join_names
from kip.errors import Problem

MANY_IMAGES = 50
"""A kubelet reports so many images of its node at most (nodeStatusMaxImages); the rest no scheduler sees."""

LARGEST_OBJECT = 1_572_864
"""Bytes of a request that etcd takes (DefaultMaxRequestBytes)."""

OVERHEAD = 1.8
"""Of a stored object to a sent one: managedFields nearly double it (measured with server-side apply)."""

MEMORY_LIMIT = "CACHING_MEMORY_LIMIT"


def check_problems(problems: Iterable[Problem]) -> tuple[Finding, ...]:
    """Return settings that cannot be used at all."""
    return tuple(
        Finding(_check_of(one.key), Severity.PROBLEM, f"{one.value!r} {one.message}", one.remedy, one.key)
        for one in problems
    )


def check_notes(notes: Iterable[Note]) -> tuple[Finding, ...]:
    """Return what was mended or left out; one line for each of the two checks that has nothing to say."""
    found = tuple(
        Finding(
            _check_of(note.key),
            Severity.PROBLEM if note.refused and note.key.startswith(IMAGES) else Severity.WARNING,
            f"{note.value!r} {'is left out: it ' if note.refused else ''}{note.message}",
            note.remedy,
            note.key,
        )
        for note in notes
        if note.key != MEMORY_LIMIT  # has a check of its own
    )
    silent = {"settings": "all can be used as they are", "images": "all entries are as they should be"}
    told = {finding.check for finding in found}
    fine = tuple(Finding(name, Severity.OK, text) for name, text in silent.items() if name not in told)
    return (*fine, *found)


def check_list(settings: Settings, daemonset: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what is to be said about list, size and memory. `daemonset` is the rendered cache."""
    return (_moving(settings), _count(len(settings.images)), _size(daemonset), _memory(settings))


def _check_of(key: str) -> str:
    return "images" if key.startswith(IMAGES) else "settings"


def _moving(settings: Settings) -> Finding:
    moving = [entry.name for entry in settings.images if parse_reference(entry.image).moving]
    if not moving:
        return Finding("moving tags", Severity.OK, "no tag moves, so that nothing is ever refreshed")
    return Finding(
        "moving tags",
        Severity.WARNING,
        f"{len(moving)} of {len(settings.images)} images have a moving tag: {join_names(moving)}",
        "Name versions or digests; otherwise the nodes look again every CACHING_INTERVAL_HOURS.",
        IMAGES,
    )


def _count(images: int) -> Finding:
    if images <= MANY_IMAGES:
        return Finding("image count", Severity.OK, f"{images} images, {MANY_IMAGES} are no trouble")
    remedy = "Shorten the list, or split it: two keepers with two names of DaemonSets."
    message = f"{images} images; a node reports only {MANY_IMAGES}, and pulls one after the other"
    return Finding("image count", Severity.WARNING, message, remedy, IMAGES)


def _size(daemonset: Mapping[str, Any]) -> Finding:
    stored = round(len(json.dumps(daemonset, separators=(",", ":")).encode()) * OVERHEAD)
    message = f"about {stored / 1024:.0f} KiB as stored, of {LARGEST_OBJECT // 1024} KiB"
    if stored <= LARGEST_OBJECT // 2:
        return Finding("daemonset size", Severity.OK, message)
    state = Severity.PROBLEM if stored > LARGEST_OBJECT else Severity.WARNING
    return Finding("daemonset size", state, message, "Shorten the list or DAEMONSET_ANNOTATIONS.", IMAGES)


def _memory(settings: Settings) -> Finding:
    text = settings.caching_memory_limit
    limit = parse_quantity(text)
    if not limit:
        return Finding("memory limit", Severity.OK, "no limit is set", subject=MEMORY_LIMIT)
    if limit < LEAST_MEMORY:
        message = f"{text} is below the 12Mi that CRI-O needs to start a container"
        return Finding("memory limit", Severity.PROBLEM, message, "Write 20Mi.", MEMORY_LIMIT)
    if limit < ADVISABLE_MEMORY:
        message = f"{text} is little: containers have been killed while starting below 20Mi"
        return Finding("memory limit", Severity.WARNING, message, "Write 20Mi.", MEMORY_LIMIT)
    return Finding("memory limit", Severity.OK, f"{text} is enough", subject=MEMORY_LIMIT)
