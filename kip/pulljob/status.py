"""How a job stands: OpenKruise's counts, and cell by cell which image is on which node."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kip.core.status.cell import NODE_NOT_READY
from kip.pulljob.node_progress import images_of_next
from kip.pulljob.pod_view import Pull, PullFailure
from kip.pulljob.record import FRESH, NodeRecord, Record
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import Skipped, TargetNode, Targets

MISSING = PullFailure("NodeNotFound", "there is no node of that name")


class PullState(StrEnum):
    """One image on one node."""

    PULLED = "pulled"
    PULLING = "pulling"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PullCell:
    """One image on one node. A WAITING one may have a fault too: the last one, before it is tried again."""

    node: str
    image: str
    state: PullState
    fault: PullFailure | None = None
    pull: Pull | None = None


@dataclass(frozen=True, slots=True)
class ImageCount:
    """On how many nodes an image is there, is given up, and is being pulled or next in a pod."""

    image: str
    succeeded: int
    failed: int
    active: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How a job stands, in nodes: those that are meant, that pull now, that have all images, that lack some.

    A node counts as succeeded or failed once each of its images is there or given up. `message` is
    OpenKruise's, and more where that says nothing.
    """

    started: datetime
    finished: datetime | None
    desired: int
    active: int
    succeeded: int
    failed: int
    message: str
    images: tuple[ImageCount, ...]
    failed_nodes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()


def count(job: PullJob, targets: Targets, record: Record, message: str) -> JobProgress:
    """Count nodes and images. Nodes that are alike are counted together: there may be thousands."""
    alike: Counter[tuple[int, int, int]] = Counter()
    succeeded, failed, active, everything = 0, list[str](), 0, job.everything
    for target in targets.nodes:
        one = record.nodes.get(target.name, FRESH)
        if one.pulled == everything:
            succeeded += 1
            continue
        under_way = sum(1 << number for number in images_of_next(job, one)) if one.open else 0
        gone = everything if target.missing and not one.failed else 0
        alike[one.pulled, (one.failed | gone) & ~one.pulled, under_way] += 1
        if gone or one.is_settled(job):
            failed.append(target.name)
        else:
            active += one.open
    alike[everything, 0, 0] += succeeded
    images = tuple(
        ImageCount(
            image,
            *(sum(nodes for sets, nodes in alike.items() if sets[kind] >> number & 1) for kind in range(3)),
        )
        for number, image in enumerate(job.images)
    )
    return JobProgress(
        record.started,
        record.finished,
        len(targets.nodes),
        active,
        succeeded,
        len(failed),
        message,
        images,
        tuple(sorted(failed)),
        targets.skipped,
    )


def cells(job: PullJob, targets: Targets, record: Record) -> Iterator[PullCell]:
    """Yield every cell, image by image in the job's order."""
    for number, image in enumerate(job.images):
        for target in targets.nodes:
            yield _cell(number, image, target, record.of(target.name))


def not_ready(target: TargetNode) -> PullFailure:
    """Return what to say of a node that is not heard of."""
    since = f"{target.away_since:%Y-%m-%dT%H:%M:%SZ}" if target.away_since else "some time"
    return PullFailure(NODE_NOT_READY, f"the node has not been heard of since {since}")


def _cell(number: int, image: str, target: TargetNode, record: NodeRecord) -> PullCell:
    fault = record.faults.get(number)
    if record.pulled >> number & 1:
        return PullCell(target.name, image, PullState.PULLED, pull=record.pulls.get(number))
    if record.failed >> number & 1:
        return PullCell(target.name, image, PullState.FAILED, fault)
    if target.missing:
        return PullCell(target.name, image, PullState.FAILED, MISSING)
    if target.away_since:
        return PullCell(target.name, image, PullState.WAITING, not_ready(target))
    return PullCell(target.name, image, PullState.PULLING if record.open else PullState.WAITING, fault)
