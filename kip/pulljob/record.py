"""What of a job is done: a value of the stepper, which survives its driver.

A driver keeps the record of a step before it does the step's actions. Then it can be killed at any point:
the next one goes on from the record and from the pods that it finds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from kip.pulljob.pod_view import Pull, PullFailure
from kip.pulljob.spec import PullJob


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What is done on one node.

    `started` is the serial of the newest pod, `closed` that of the newest whose outcome stands here: while
    they differ a pod is open. `lost` counts pods that went away unasked. `pulled` and `failed` are sets of
    images, as a bit for each; `tries` are attempts that failed, by image. `retry_at` is when the next pod may
    start, `since` when the first image was pulled. `faults` are the last ones, `pulls` what is known of each
    image that is there; pulls are not kept where a record is written down.
    """

    started: int = 0
    closed: int = 0
    lost: int = 0
    pulled: int = 0
    failed: int = 0
    retry_at: datetime | None = None
    since: datetime | None = None
    tries: Mapping[int, int] = field(default_factory=dict)
    faults: Mapping[int, PullFailure] = field(default_factory=dict)
    pulls: Mapping[int, Pull] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether a pod was started whose outcome is not known yet."""
        return self.started > self.closed

    def is_settled(self, job: PullJob) -> bool:
        """Whether every image is there, or is given up."""
        return self.pulled | self.failed == job.everything


FRESH = NodeRecord()


@dataclass(frozen=True, slots=True)
class Record:
    """All that is done. `nodes` holds only those on which something was; `images` are what the bits mean.

    `outcome` is the message of a job that is over, and tells how it ended. `digests` are those that nodes got
    of each image, the newest last, a few at most: more than one says that a tag has moved meanwhile.
    """

    images: tuple[str, ...]
    started: datetime
    finished: datetime | None = None
    outcome: str = ""
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    digests: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def of(self, node: str) -> NodeRecord:
        """Return what is done on one node."""
        return self.nodes.get(node, FRESH)


def new_record(job: PullJob, now: datetime) -> Record:
    """Return the record of a job that begins now."""
    return Record(job.images, now)


def carried(record: Record, job: PullJob, now: datetime) -> Record:
    """Return the record of a job whose spec was edited: what is pulled and still wanted need not be again.

    But for the pull policy Always: there every node is to ask the registry under the spec as it is now.
    What failed is tried anew, and the clock of the deadline starts again. Pods of the spec before count for
    what they have pulled, but not for what they failed at. Serials go on, so that the new pods have other
    names than those which are still there.
    """
    kept = () if job.pull_policy == "Always" else job.images
    places = {image: number for number, image in enumerate(kept)}
    moves = [(old, places[image]) for old, image in enumerate(record.images) if image in places]
    nodes = {
        name: replace(
            FRESH,
            started=node.started,
            closed=node.started,
            pulled=sum(1 << new for old, new in moves if node.pulled >> old & 1),
            since=node.since if moves else None,
            pulls={new: node.pulls[old] for old, new in moves if old in node.pulls},
        )
        for name, node in record.nodes.items()
    }
    digests = {new: record.digests[old] for old, new in moves if old in record.digests}
    return Record(job.images, now, nodes=nodes, digests=digests)
