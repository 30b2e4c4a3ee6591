"""One step of a job: from what is there to what is to be done now. Pure: the same input, the same step.

What always holds, whatever order events come in:
- On a node at most one pod of the job is open, and no more than `parallelism` nodes have one that pulls.
- An outcome stands in the record before its pod is removed; what is pulled stays pulled, and is asked for no
  more. A record that is older than the pods (its driver was killed) is made good by the pods.
- It ends: each open pod has a time limit, failed attempts and lost pods are counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kip.pulljob.node_progress import (
    NODE_PAUSES,
    Removal,
    count_failure,
    fail_remaining,
    images_of_next,
    is_done,
    is_pulling,
    mark_lost,
    observe_pods,
    places_of,
)
from kip.pulljob.pod_view import PodView, PullFailure
from kip.pulljob.record import FRESH, NodeRecord, Record
from kip.pulljob.spec import PullJob, short_hash
from kip.pulljob.status import MISSING, JobProgress, count, not_ready
from kip.pulljob.targets import TargetNode, Targets

AWAY_SECONDS = 600
"""A node that is not heard of for so long is not waited for; OpenKruise's patience."""

AGAIN_SECONDS = 24 * 3600
"""With completion policy Never a node looks again daily, as with OpenKruise; the pull policy decides then
whether that asks the registry."""

NOT_ASKED_PAUSE = 2
AGAIN_SPREAD_SECONDS = 1200
DEADLINE = "DeadlineExceeded"
COMPLETED = "job has completed"
EXCEEDED = "job exceeds activeDeadlineSeconds"
NO_NODE = "no node matches"


@dataclass(frozen=True, slots=True)
class PodStart:
    """A pod to create: the `serial`-th of the job on its node, for these images (by their place)."""

    node: str
    serial: int
    images: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What to do: keep the record, then remove and create pods.

    `next_at` is when time alone may change something, None for never. `expired`: the job's own object is to
    be deleted, ttlSecondsAfterFinished is over.
    """

    record: Record
    status: JobProgress
    starts: tuple[PodStart, ...] = ()
    removals: tuple[Removal, ...] = ()
    next_at: datetime | None = None
    expired: bool = False


@dataclass(slots=True)
class _Look:
    """What the nodes of a job come to, while they are gone through."""

    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    removals: list[Removal] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    due: list[datetime] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    busy: int = 0
    lonely: bool = True
    unsettled: int = 0
    hopeless: dict[str, PullFailure] = field(default_factory=dict)


def plan_job(
    job: PullJob,
    targets: Targets,
    pods: Iterable[PodView],
    record: Record,
    now: datetime,
    *,
    budget: int | None = None,
    refused: Mapping[str, PullFailure | None] | None = None,
) -> JobPlan:
    """Return what to do now.

    `pods` are those of this job, as of a time after the last step's actions. `budget` is how many more nodes
    may start to pull now, of a budget that several jobs share (None: as many as the job's parallelism).
    `refused` are starts of the last step that came to nothing, by node: with what the API server said to
    them, or None where it was never asked, or gave no answer.
    """
    by_node: dict[str, list[PodView]] = defaultdict(list)
    for pod in pods:
        by_node[pod.node].append(pod)
    if record.finished:
        return _after_the_end(job, targets, by_node, record, now)
    seen = _look_at_all(job, targets, by_node, record, now, refused or {})
    deadline = record.started + timedelta(seconds=job.deadline_seconds) if job.deadline_seconds else None
    if deadline and now >= deadline and seen.unsettled:
        return _ended(job, targets, by_node, record, seen, now, EXCEEDED)
    if not job.forever and seen.unsettled == len(seen.hopeless):
        return _ended(job, targets, by_node, record, seen, now, COMPLETED if targets.nodes else NO_NODE)
    room = max(job.parallelism - seen.busy, 0)
    starts = []
    for name in seen.ready[: room if budget is None else min(room, max(budget, 0))]:
        one = seen.nodes.get(name, FRESH)
        starts.append(PodStart(name, one.started + 1, images_of_next(job, one)))
        seen.nodes[name] = replace(one, started=one.started + 1, retry_at=None)
    later = replace(record, nodes=seen.nodes)
    status = count(job, targets, later, "")
    return JobPlan(
        later,
        replace(status, message=_progress(job, status)),
        tuple(starts),
        tuple(seen.removals),
        min([*seen.due, *([deadline] if deadline else [])], default=None),
    )


def leftover_pods(pods: Iterable[PodView], now: datetime) -> tuple[Removal, ...]:
    """Return the pods, of any job, that nobody can wait for any more: their drivers were killed."""
    return tuple(
        Removal(pod.name, pod.uid)
        for pod in pods
        if pod.job and pod.expires and pod.expires < now and not pod.deleting
    )


def _look_at_all(
    job: PullJob,
    targets: Targets,
    by_node: Mapping[str, Sequence[PodView]],
    record: Record,
    now: datetime,
    refused: Mapping[str, PullFailure | None],
) -> _Look:
    """Go through all nodes, cheaply where nothing goes on: there may be thousands."""
    places, retries, everything = places_of(job), list[str](), job.everything
    seen = _Look(lonely=not any(_gives_room(job, pod) for pods in by_node.values() for pod in pods))
    for target in targets.nodes:
        name = target.name
        one, mine = record.nodes.get(name, FRESH), by_node.get(name, ())
        if mine or one.open:
            one = _look_at(job, places, target, one, mine, now, refused, seen)
        if job.forever:
            one = _again(job, name, one, record, now, seen)
        if one is not FRESH:
            seen.nodes[name] = one
        if one.pulled | one.failed == everything:
            continue
        seen.unsettled += 1
        if target.missing or target.away_since:
            _wait_for(target, now, seen)
        elif one.open or name in seen.blocked:
            continue
        elif one.retry_at and one.retry_at > now:
            seen.due.append(one.retry_at)
        else:
            (retries if one.tries or one.lost else seen.ready).append(name)
    seen.ready += retries  # a node in trouble waits for those that were never tried
    for name in by_node.keys() - {target.name for target in targets.nodes}:
        seen.removals += _removals(job, by_node[name], None, places)
        # It is meant no more, which does not end at once what it does.
        seen.busy += any(is_pulling(pod, now) for pod in by_node[name])
    return seen


def _look_at(
    job: PullJob,
    places: Mapping[str, int],
    target: TargetNode,
    one: NodeRecord,
    pods: Sequence[PodView],
    now: datetime,
    refused: Mapping[str, PullFailure | None],
    seen: _Look,
) -> NodeRecord:
    if one.open and target.name in refused and all(pod.serial != one.started for pod in pods):
        one = _refuse(job, one, refused[target.name], now, lonely=seen.lonely)
    found = observe_pods(job, places, one, pods, now)
    one = found.record
    if found.busy and target.away_since:
        # It holds no place among those that pull. Should it come back, it is asked again.
        one = mark_lost(job, one, now, not_ready(target)) if one.open else one
        seen.removals += _removals(job, pods, None, places)
        return one
    seen.removals += found.removals
    seen.busy += found.busy
    seen.blocked |= {target.name} if found.busy else set()
    if found.due:
        seen.due.append(found.due)
    return one


def _refuse(
    job: PullJob, one: NodeRecord, fault: PullFailure | None, now: datetime, *, lonely: bool
) -> NodeRecord:
    """Close a pod that was never made.

    While other pods of the job live it costs nothing: a quota may have room again when they are gone.
    """
    closed = replace(one, closed=one.started)
    if fault is None:
        return replace(closed, retry_at=now + timedelta(seconds=NOT_ASKED_PAUSE))
    faults = dict.fromkeys(images_of_next(job, closed), fault)
    tries = max((one.tries.get(number, 0) for number in faults), default=0)
    until = now + timedelta(seconds=NODE_PAUSES[min(tries, len(NODE_PAUSES) - 1)])
    return count_failure(job, closed, faults, until) if lonely else replace(closed, retry_at=until)


def _gives_room(job: PullJob, pod: PodView) -> bool:
    """Whether a pod will be gone soon, or was not until now; one that holds its images will not."""
    return not (job.keep_seconds and all(seen.pull for seen in pod.images))


def _wait_for(target: TargetNode, now: datetime, seen: _Look) -> None:
    if target.missing:
        seen.hopeless[target.name] = MISSING
    elif target.away_since:
        until = target.away_since + timedelta(seconds=AWAY_SECONDS)
        if until <= now:
            seen.hopeless[target.name] = not_ready(target)
        else:
            seen.due.append(until)


def _again(
    job: PullJob, name: str, one: NodeRecord, record: Record, now: datetime, seen: _Look
) -> NodeRecord:
    """Forget what is done on a node when its next daily look is due; each node has a time of its own."""
    if one.open or not one.is_settled(job):
        return one
    spread = int(short_hash(name), 16) % AGAIN_SPREAD_SECONDS - AGAIN_SPREAD_SECONDS // 2
    due = (one.since or one.retry_at or record.started) + timedelta(seconds=AGAIN_SECONDS + spread)
    if due > now:
        seen.due.append(due)
        return one
    return replace(FRESH, started=one.started, closed=one.closed)


def _ended(
    job: PullJob,
    targets: Targets,
    by_node: Mapping[str, Sequence[PodView]],
    record: Record,
    seen: _Look,
    now: datetime,
    outcome: str,
) -> JobPlan:
    """Return the last step: what is not there is given up, and no pod stays."""
    late = PullFailure(DEADLINE, f"not there within activeDeadlineSeconds, {job.deadline_seconds}")
    for target in targets.nodes:
        one = seen.nodes.get(target.name, FRESH)
        if not one.is_settled(job):
            seen.nodes[target.name] = fail_remaining(job, one, seen.hopeless.get(target.name, late))
    finished = replace(record, nodes=seen.nodes, finished=now, outcome=outcome)
    return _after_the_end(job, targets, by_node, finished, now)


def _after_the_end(
    job: PullJob, targets: Targets, by_node: Mapping[str, Sequence[PodView]], record: Record, now: datetime
) -> JobPlan:
    """Remove what pods there are still; record and counts stay as they are, whatever nodes come and go."""
    targets = Targets(tuple(map(TargetNode, sorted(record.nodes))), targets.skipped)
    places = places_of(job)
    removals = [
        removal
        for name, pods in by_node.items()
        for removal in _removals(job, pods, record.nodes.get(name), places)
    ]
    gone_at = None
    if job.ttl_seconds is not None and record.finished and not job.forever:
        gone_at = record.finished + timedelta(seconds=job.ttl_seconds)
    return JobPlan(
        record,
        count(job, targets, record, record.outcome),
        removals=tuple(removals),
        next_at=gone_at,
        expired=gone_at is not None and gone_at <= now,
    )


def _removals(
    job: PullJob, pods: Iterable[PodView], one: NodeRecord | None, places: Mapping[str, int]
) -> list[Removal]:
    """Return the removal of each pod, but for those that shall hold what they pulled."""
    return [
        Removal(pod.name, pod.uid)
        for pod in pods
        if not pod.deleting and not (job.keep_seconds and one and is_done(pod, one, places))
    ]


def _progress(job: PullJob, status: JobProgress) -> str:
    if not job.parallelism:
        return "job is paused: parallelism is 0"
    settled = status.succeeded + status.failed
    if not settled:
        return "job is running, no progress"
    return f"job is running, progress {100 * settled / status.desired:.1f}%"
