"""What Kubernetes' own Events tell of a cache: pulls and their attempts, pods that may not be made.

The kubelet and the DaemonSet controller write them in the form of core/v1; they are kept for an hour.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.redact import shown

Manifest = dict[str, Any]

REFUSALS = "reason=FailedCreate"
PULLS = "involvedObject.kind=Pod,reason=Pulled"
FAILURES = "involvedObject.kind=Pod,reason=Failed"
NOT_SET_UP = ("reason=FailedCreatePodSandBox", "reason=FailedMount")
"""Field selectors."""

FIRST_BACKOFF = timedelta(seconds=10)
LONGEST_BACKOFF = timedelta(minutes=5)
"""The kubelet's pauses between two pulls of an image that fails; each is twice the one before."""

FAILED_PULL = "Failed to pull image"

_PULLED = re.compile(
    r'Successfully pulled image ".*" in (?P<took>[\d.hmsµun]+)(?:.*Image size: (?P<size>\d+) bytes)?',
    re.DOTALL,
)
_CONTAINER = re.compile(r"spec\.containers\{(.+)\}")
_PART = re.compile(r"([\d.]+)(h|ms|m|s|µs|us|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}

Spot = tuple[str, str]
"""Node and name of a container."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One pull that went well. `size` is that of the image in bytes, None where the kubelet does not tell."""

    node: str
    container: str
    seconds: float
    size: int | None


def newest_refusal(events: Iterable[Manifest], uid: str, since: str = "") -> str:
    """Return why the newest pod of the DaemonSet with this uid could not be made; "" when none is known.

    What was refused before `since` (RFC 3339), when a pod was made, is over.
    """
    about = (event for event in events if event["involvedObject"].get("uid") == uid)
    found = [event for event in about if time_of(event) >= since]
    if not found:
        return ""
    return shown(str(max(found, key=time_of).get("message") or "").removeprefix("Error creating: "))


def read_pull(event: Manifest, daemonset: str) -> Pull | None:
    """Read an Event of a cache pod that says that an image was pulled, None when it says anything else."""
    spot, told = _spot(event, daemonset), pull_in(event.get("message") or "")
    return Pull(*spot, *told) if spot and told else None


def pull_in(message: str) -> tuple[float, int | None] | None:
    """Return the seconds and bytes (None where they are not told) of a pull that went well, else None."""
    match = _PULLED.match(message)
    if not match:
        return None
    return _seconds(match["took"]), int(match["size"]) if match["size"] else None


def with_events(matrix: Matrix, events: Iterable[Manifest]) -> Matrix:
    """Return the matrix with what the Events PULLS and FAILURES tell of its pulls.

    When a failed pull is tried next is reckoned by the kubelet's rule, as nobody tells.
    """
    pulls: dict[Spot, tuple[str, Pull]] = {}
    failures: dict[Spot, tuple[str, int]] = {}
    nothing = ("",)
    for event in events:
        spot, at = _spot(event, matrix.daemonset), time_of(event)
        if spot is None:
            continue
        message = event.get("message") or ""
        if (told := pull_in(message)) and at >= pulls.get(spot, nothing)[0]:
            pulls[spot] = at, Pull(*spot, *told)
        elif message.startswith(FAILED_PULL) and at >= failures.get(spot, nothing)[0]:
            failures[spot] = at, int(event.get("count") or 1)
    return replace(matrix, cells=tuple(_told(cell, pulls, failures) for cell in matrix.cells))


def with_unstarted(matrix: Matrix, events: Iterable[Manifest]) -> Matrix:
    """Return the matrix with what the Events NOT_SET_UP tell of its pods that do not start."""
    node_of = {uid: node for node, uid in matrix.unstarted}
    newest: dict[str, Manifest] = {}
    for event in sorted(events, key=time_of):
        if node := node_of.get(event["involvedObject"].get("uid", "")):
            newest[node] = event
    return replace(matrix, cells=tuple(_not_set_up(cell, newest.get(cell.node)) for cell in matrix.cells))


def _not_set_up(cell: Cell, event: Manifest | None) -> Cell:
    if event is None or cell.reason:
        return cell
    # What the pod before holds is cached all the same.
    state = ImageState.CACHED if cell.state is ImageState.CACHED else ImageState.FAILED
    attempts = int(event.get("count") or 1)
    reason, message = event.get("reason") or "", shown(event.get("message") or "")
    return replace(cell, state=state, reason=reason, message=message, attempts=attempts)


def _told(
    cell: Cell, pulls: Mapping[Spot, tuple[str, Pull]], failures: Mapping[Spot, tuple[str, int]]
) -> Cell:
    spot = cell.node, cell.name
    if cell.state is ImageState.CACHED and spot in pulls:
        _, pull = pulls[spot]
        return replace(cell, pull_seconds=pull.seconds, size=pull.size)
    if cell.state is ImageState.FAILED and not cell.attempts and spot in failures:
        at, attempts = failures[spot]
        pause = min(FIRST_BACKOFF * 2 ** min(attempts - 1, 10), LONGEST_BACKOFF)
        again = datetime.fromisoformat(at) + pause
        return replace(cell, attempts=attempts, next_try=again.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return cell


def _spot(event: Manifest, daemonset: str) -> Spot | None:
    about = event["involvedObject"]
    container = _CONTAINER.fullmatch(about.get("fieldPath") or "")
    node = (event.get("source") or {}).get("host") or event.get("reportingInstance")
    if not container or not node or about.get("name", "").rpartition("-")[0] != daemonset:
        return None
    return node, container[1]


def time_of(event: Manifest) -> str:
    """Return when an Event came for the last time (RFC 3339)."""
    series = event.get("series") or {}
    return str(
        event.get("lastTimestamp")
        or series.get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )


def _seconds(text: str) -> float:
    """Read a duration as Go writes it: `1m2.5s`, `850ms`."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
