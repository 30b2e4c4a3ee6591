"""One node's part of a step: what its pods tell is written into its record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kip.core.status.cell import KUBELET_SILENT
from kip.pulljob.pod_view import ContainerReport, PodView, Pull, PullFailure
from kip.pulljob.record import NodeRecord
from kip.pulljob.spec import PullJob, short_hash

SHARE = 10
"""How many images share a pod at first. The kubelet pulls them one by one, in order, and goes on past a bad
one; an image that failed once gets pods of its own, so that it can hold up nobody again."""

MOST_LOST = 5
"""Pods that may go away unasked on one node: more is no accident."""

LOST_PAUSE = 2
IMAGE_PAUSES = (1, 2, 4, 8, 16, 30)
"""Seconds before an image is tried again, as OpenKruise's daemon waits."""

NODE_PAUSES = (10, 20, 40, 60)
"""Seconds before a node is tried again that could not run the pod: room comes less soon than a registry."""

DELETED_WITHIN = timedelta(seconds=60)
"""A pod that is being deleted for longer is held by nothing but a kubelet that is silent."""

TAKEN_AWAY = frozenset({"Evicted", "Preempting", "Terminated", "NodeShutdown", "Shutdown"})
"""Reasons of a failed pod that say nothing of its images (pkg/kubelet/eviction, preemption, nodeshutdown)."""

LOST = "PodLost"
TIMEOUT = "PullTimeout"


@dataclass(frozen=True, slots=True)
class Removal:
    """A pod that is needed no more."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """What a node's pods come to: its record, what to remove, and whether it is pulling now.

    `due` is when the time of its pods is over.
    """

    record: NodeRecord
    removals: tuple[Removal, ...] = ()
    busy: bool = False
    due: datetime | None = None


def places_of(job: PullJob) -> dict[str, int]:
    """Return the place of each image in the job's list, by the hash that containers are named after."""
    return {short_hash(image): number for number, image in enumerate(job.images)}


def images_of_next(job: PullJob, record: NodeRecord) -> tuple[int, ...]:
    """Return the images of the node's next pod: a share of those never tried, else one that failed."""
    rest = [number for number in range(len(job.images)) if not (record.pulled | record.failed) >> number & 1]
    fresh = [number for number in rest if not record.tries.get(number)]
    if fresh:
        # Pods that hold what they pulled hold one image each: another's failure cannot end them.
        return tuple(fresh[: 1 if job.keep_seconds else SHARE])
    return tuple(sorted(rest, key=lambda number: record.tries[number])[:1])


def count_failure(
    job: PullJob, record: NodeRecord, faults: dict[int, PullFailure], wait_until: datetime
) -> NodeRecord:
    """Count a failed attempt for each image in `faults`; one without retries left is given up."""
    tries, failed = dict(record.tries), record.failed
    for number in faults:
        tries[number] = tries.get(number, 0) + 1
        if tries[number] > job.backoff_limit:
            failed |= 1 << number
    return replace(
        record, tries=tries, failed=failed, faults={**record.faults, **faults}, retry_at=wait_until
    )


def fail_remaining(job: PullJob, record: NodeRecord, fault: PullFailure) -> NodeRecord:
    """Give up what is neither there nor given up yet; the last word on an image is kept in the message."""
    rest = job.everything & ~record.pulled & ~record.failed
    faults = dict(record.faults)
    for number in _numbers(rest):
        last = faults.get(number)
        said = (
            f"{fault.message}; before: {last.reason}: {last.message}".rstrip(": ") if last else fault.message
        )
        faults[number] = PullFailure(fault.reason, said)
    return replace(record, failed=record.failed | rest, faults=faults, closed=record.started)


def observe_pods(
    job: PullJob, places: Mapping[str, int], record: NodeRecord, pods: Sequence[PodView], now: datetime
) -> NodeProgress:
    """Write into the record what the pods of its node tell. `places` has the number of each image's hash."""
    for pod in sorted(pods, key=lambda pod: pod.serial):
        if job.pull_policy == "Always" and pod.serial <= record.closed:
            continue  # of the spec before an edit, perhaps: it had not asked the registry
        record = _note_pulled(replace(record, started=max(record.started, pod.serial)), places, pod, now)
    newest = next((pod for pod in pods if record.open and pod.serial == record.started), None)
    useless = [pod for pod in pods if pod is not newest]
    ends: list[datetime] = []
    if newest is None:
        record = mark_lost(job, record, now) if record.open else record
    elif newest.deleting and not is_done(newest, record, places):
        if _is_going(newest, now):
            ends.append(newest.deleting + DELETED_WITHIN)
        else:
            record = mark_lost(job, record, now)
    elif closed := _judge(job, record, places, newest, now):
        record = closed
        useless.append(newest)
    else:
        ends.append(_late_at(job, newest))
    if job.keep_seconds:
        useless = [pod for pod in useless if not is_done(pod, record, places)]
    ends += [(pod.deleting or now) + DELETED_WITHIN for pod in useless if _is_going(pod, now)]
    removals = tuple(Removal(pod.name, pod.uid) for pod in useless if not pod.deleting)
    return NodeProgress(record, removals, busy=bool(ends), due=min(ends, default=None))


def _judge(
    job: PullJob, record: NodeRecord, places: Mapping[str, int], pod: PodView, now: datetime
) -> NodeRecord | None:
    """Return the record with the pod's outcome, None while it has none."""
    closed = replace(record, closed=pod.serial)
    mine = [(places[seen.hash], seen) for seen in pod.images if seen.hash in places]
    waiting = [number for number, seen in mine if seen.shown is ContainerReport.WAITING]
    failed = {number: seen.fault for number, seen in mine if seen.fault}
    if not waiting:
        if not failed:
            return closed
        if pod.ended and (taken := next((one for one in failed.values() if one.reason in TAKEN_AWAY), None)):
            return mark_lost(job, record, now, taken)
        pauses = NODE_PAUSES if pod.ended else IMAGE_PAUSES
        return count_failure(job, closed, failed, _after(pauses, record, failed, now))
    if now <= _late_at(job, pod):
        return None
    if pod.begun is None:
        return fail_remaining(
            job, closed, PullFailure(KUBELET_SILENT, "the kubelet has not taken up the pod; it may be down")
        )
    late = {waiting[0]: PullFailure(TIMEOUT, f"not pulled within {job.timeout_seconds} s")}
    return count_failure(job, closed, {**failed, **late}, _after(IMAGE_PAUSES, record, late, now))


def _late_at(job: PullJob, pod: PodView) -> datetime:
    """Return when the time of the image in turn is over.

    The kubelet tells no time of a failure: each failed image before it may have taken its own.
    """
    failed = sum(seen.shown is ContainerReport.FAILED for seen in pod.images)
    return pod.moved + timedelta(seconds=job.timeout_seconds * (1 + failed))


def mark_lost(
    job: PullJob, record: NodeRecord, now: datetime, taken: PullFailure | None = None
) -> NodeRecord:
    """Start again after a pod that went away: that is no fault of its images, and costs them no attempt."""
    pause = NODE_PAUSES[min(record.lost, len(NODE_PAUSES) - 1)] if taken else LOST_PAUSE
    lost = replace(
        record,
        closed=record.started,
        lost=record.lost + 1,
        retry_at=now + timedelta(seconds=pause),
    )
    if lost.lost <= MOST_LOST:
        return lost
    said = f"{lost.lost} pods went away before their end; is the node there, and who deletes them?"
    return fail_remaining(job, lost, taken or PullFailure(LOST, said))


def _note_pulled(record: NodeRecord, places: Mapping[str, int], pod: PodView, now: datetime) -> NodeRecord:
    """Write down what is there, also when another pod of the node had failed at it."""
    pulled, pulls = record.pulled, dict[int, Pull]()
    for seen in pod.images:
        number = places.get(seen.hash)
        if number is not None and seen.pull and not record.pulled >> number & 1:
            pulled |= 1 << number
            pulls[number] = seen.pull
    if not pulls:
        return record
    return replace(
        record,
        pulled=pulled,
        failed=record.failed & ~pulled,
        pulls={**record.pulls, **pulls},
        since=record.since or now,
    )


def is_done(pod: PodView, record: NodeRecord, places: Mapping[str, int]) -> bool:
    """Whether all images of the pod are there."""
    return all(seen.hash in places and record.pulled >> places[seen.hash] & 1 for seen in pod.images)


def is_pulling(pod: PodView, now: datetime) -> bool:
    """Whether a pod may still be pulling, or is not yet known to pull no more."""
    return _is_going(pod, now) and any(not seen.pull for seen in pod.images)


def _is_going(pod: PodView, now: datetime) -> bool:
    """Whether a pod that is being deleted, or is about to be, may still pull for a while."""
    return not pod.ended and not _is_stuck(pod, now)


def _is_stuck(pod: PodView, now: datetime) -> bool:
    return pod.deleting is not None and now - pod.deleting > DELETED_WITHIN


def _after(pauses: Sequence[int], record: NodeRecord, failed: Iterable[int], now: datetime) -> datetime:
    tries = max(record.tries.get(number, 0) for number in failed)
    return now + timedelta(seconds=pauses[min(tries, len(pauses) - 1)])


def _numbers(images: int) -> Iterable[int]:
    return (number for number in range(images.bit_length()) if images >> number & 1)
