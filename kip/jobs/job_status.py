"""The status of a job, as its object carries it: OpenKruise's fields, and what these do not tell. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kip.core.text import join_names
from kip.pulljob.record import Record
from kip.pulljob.spec import PullJob
from kip.pulljob.status import MISSING, ImageCount, JobProgress
from kip.pulljob.targets import Targets
from kip.redact import redacted

Manifest = dict[str, Any]

MOST_FAILURES = 20
MOST_SKIPPED = 20
SOME_NODES = 5
MOST_NAMES = 1000
"""A status is copied to everybody who watches; who needs more has the Events and the nodes themselves."""

LONGEST_MESSAGE = 300
LIST_KIND = "ImageListPullJob"
COUNTS = ("desired", "active", "succeeded", "failed")
COUNTS_OF_LIST = ("desired", "active", "completed", "succeeded")


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One image that is given up for one reason, and on which nodes; `message` is that of the first."""

    image: str
    reason: str
    message: str
    nodes: tuple[str, ...]
    count: int

    @property
    def line(self) -> str:
        """Say it in a line."""
        where = join_names(self.nodes, self.count)
        return f"{self.image} on {where}: {self.reason}: {self.message}".rstrip(": ")


def failures_of(job: PullJob, targets: Targets, record: Record) -> tuple[JobFailure, ...]:
    """Return what failed why, the most frequent first, each reason of an image once."""
    found: dict[tuple[int, str], tuple[str, list[str]]] = {}
    for target in targets.nodes:
        one = record.nodes.get(target.name)
        if one and one.failed:
            for number in range(len(job.images)):
                if one.failed >> number & 1:
                    fault = one.faults.get(number)
                    reason, message = (fault.reason, fault.message) if fault else ("Failed", "")
                    found.setdefault((number, reason), (message, []))[1].append(target.name)
        elif target.missing:
            for number in range(len(job.images)):
                found.setdefault((number, MISSING.reason), (MISSING.message, []))[1].append(target.name)
    ordered = sorted(found.items(), key=lambda item: -len(item[1][1]))
    return tuple(
        JobFailure(
            job.images[number],
            reason,
            shortened(message),
            tuple(sorted(nodes)[:SOME_NODES]),
            len(nodes),
        )
        for (number, reason), (message, nodes) in ordered[:MOST_FAILURES]
    )


def status_of(
    job: PullJob,
    status: JobProgress,
    failures: tuple[JobFailure, ...],
    before: Mapping[str, Any],
    now: datetime,
    *,
    generation: int,
    trouble: str = "",
    digests: Mapping[int, tuple[str, ...]] | None = None,
) -> Manifest:
    """Return the status of a job that can be run.

    `before` is the status that stands, whose conditions keep their times. `trouble` is what is in the way of
    a job that is not over. `digests` are those that nodes got, by the place of the image.
    """
    got = {job.images[number]: list(found) for number, found in (digests or {}).items()}
    message = trouble if trouble and not status.finished else status.message
    found: Manifest = {
        "observedGeneration": generation,
        "startTime": rfc3339(status.started),
        **({"completionTime": rfc3339(status.finished)} if status.finished else {}),
        **(_of_list(job, status, failures, got) if job.kind == LIST_KIND else _of_one(status, got)),
        "message": shortened(message),
        "conditions": _conditions(_verdicts(job, status, failures, trouble), before, now, generation),
    }
    if failures:
        found["failures"] = [
            {
                "image": failure.image,
                "reason": failure.reason,
                "message": failure.message,
                "nodes": list(failure.nodes),
                "count": failure.count,
            }
            for failure in failures
        ]
    if status.skipped:
        found["skippedNodes"] = [
            {"name": skipped.node, "reason": skipped.reason} for skipped in status.skipped[:MOST_SKIPPED]
        ]
    return found


def status_of_refused(
    problem: str, kind: str, before: Mapping[str, Any], now: datetime, *, generation: int
) -> Manifest:
    """Return the status of a job whose spec cannot be run."""
    message = shortened(f"job cannot be run: {problem}")
    verdicts = {
        "Complete": (False, "InvalidSpec", ""),
        "Failed": (True, "InvalidSpec", message),
        "Stalled": (True, "InvalidSpec", message),
    }
    return {
        "observedGeneration": generation,
        **dict.fromkeys(COUNTS_OF_LIST if kind == LIST_KIND else COUNTS, 0),
        "message": message,
        "conditions": _conditions(verdicts, before, now, generation),
    }


def status_of_blocked(
    trouble: str, kind: str, before: Mapping[str, Any], now: datetime, *, generation: int
) -> Manifest:
    """Return the status of a job that the keeper can do nothing for now; what was counted before stays."""
    message = shortened(f"blocked: {trouble}")
    over = (False, "Blocked", message)
    verdicts = {"Complete": over, "Failed": over, "Reconciling": (True, "Blocked", message)}
    return {
        **dict.fromkeys(COUNTS_OF_LIST if kind == LIST_KIND else COUNTS, 0),
        **{name: value for name, value in before.items() if name != "completionTime"},
        "observedGeneration": generation,
        "message": message,
        "conditions": _conditions(verdicts, before, now, generation),
    }


def rfc3339(time: datetime) -> str:
    """Return a time as Kubernetes writes it, in whole seconds."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def shortened(text: str) -> str:
    """Return a text that does not fill the status, and tells no password."""
    text = redacted(text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 3]}..."


def _of_one(status: JobProgress, digests: Mapping[str, list[str]]) -> Manifest:
    found: Manifest = {
        "desired": status.desired,
        "active": status.active,
        "succeeded": status.succeeded,
        "failed": status.failed,
    }
    if digests:
        (found["digests"],) = digests.values()
    if status.failed_nodes:
        found["failedNodes"] = list(status.failed_nodes[:MOST_NAMES])
    return found


def _of_list(
    job: PullJob, status: JobProgress, failures: tuple[JobFailure, ...], digests: Mapping[str, list[str]]
) -> Manifest:
    """Return OpenKruise's counts of a list, which are images; a job with no node is over for all of them."""

    def over(image: ImageCount) -> bool:
        return image.succeeded + image.failed == status.desired and bool(status.finished or status.desired)

    has_all = [image for image in status.images if over(image) and not image.failed]
    found: Manifest = {
        "desired": len(status.images),
        "active": sum(image.active > 0 for image in status.images),
        "completed": sum(map(over, status.images)),
        "succeeded": len(has_all),
        "nodes": {
            "desired": status.desired,
            "active": status.active,
            "succeeded": status.succeeded,
            "failed": status.failed,
        },
        "imageStatuses": [
            {
                "image": image.image,
                "active": image.active,
                "succeeded": image.succeeded,
                "failed": image.failed,
                **({"digests": digests[image.image]} if image.image in digests else {}),
            }
            for image in status.images
        ],
    }
    if status.failed_nodes:
        found["failedNodes"] = list(status.failed_nodes[:MOST_NAMES])
    first: dict[str, JobFailure] = {}
    for failure in failures:
        first.setdefault(failure.image, failure)
    if first:
        # There is no child: the name in `imagePullJob` is the list's own.
        found["failedImageStatuses"] = [
            {"imagePullJob": job.name, "name": image, "message": shortened(failure.line)}
            for image, failure in first.items()
        ]
    return found


def _verdicts(
    job: PullJob, status: JobProgress, failures: tuple[JobFailure, ...], trouble: str
) -> dict[str, tuple[bool, str, str]]:
    """Return condition to value, reason and message.

    Complete and Failed are as of a Job of Kubernetes; Reconciling and Stalled are what kstatus looks at
    (Flux and others), and stand only while they hold.
    """
    if status.finished:
        if failed := status.failed:
            why = failures[0].line if failures else status.message
            message = shortened(f"{failed} of {status.desired} nodes lack an image: {why}")
            reason = "DeadlineExceeded" if "activeDeadlineSeconds" in status.message else "PullFailed"
            return {
                "Complete": (False, reason, message),
                "Failed": (True, reason, message),
                "Stalled": (True, reason, message),
            }
        reason = "Pulled" if status.desired else "NoNodeMatches"
        return {"Complete": (True, reason, status.message), "Failed": (False, reason, "")}
    settled = status.desired == status.succeeded + status.failed
    reason = "Blocked" if trouble else "Settled" if settled and job.forever else "Running"
    reason = reason if job.parallelism or trouble else "Paused"
    message = shortened(trouble or "")
    found = {"Complete": (False, reason, message), "Failed": (False, reason, message)}
    if reason != "Settled":
        found["Reconciling"] = (True, reason, message)
    return found


def _conditions(
    verdicts: Mapping[str, tuple[bool, str, str]], before: Mapping[str, Any], now: datetime, generation: int
) -> list[Manifest]:
    return list(_each_condition(verdicts, before, now, generation))


def _each_condition(
    verdicts: Mapping[str, tuple[bool, str, str]], before: Mapping[str, Any], now: datetime, generation: int
) -> Iterator[Manifest]:
    known = {found.get("type"): found for found in before.get("conditions") or ()}
    for kind, (holds, reason, message) in verdicts.items():
        value = "True" if holds else "False"
        last = known.get(kind, {})
        same = last.get("status") == value and last.get("lastTransitionTime")
        yield {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": last["lastTransitionTime"] if same else rfc3339(now),
        }
