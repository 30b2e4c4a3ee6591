"""One job's part of a round: what it would do, and, once its share is known, the doing of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from kip.cluster.api import PODS, Cluster, Selection
from kip.cluster.list_pacing import pause_after
from kip.core.status.jobs_view import JobsView, Phase
from kip.errors import ApiError, Conflict, Forbidden, Invalid
from kip.jobs.budget import Demand
from kip.jobs.job_object import JobObject
from kip.jobs.job_status import (
    JobFailure,
    failures_of,
    rfc3339,
    status_of,
    status_of_blocked,
    status_of_refused,
)
from kip.jobs.record_store import RecordStore, StoredRecord
from kip.jobs.status_writer import StatusWriter
from kip.pulljob.executor import PodExecutor, is_final
from kip.pulljob.node_progress import Removal, is_pulling
from kip.pulljob.planner import JobPlan, plan_job
from kip.pulljob.pod_view import PodView, PullFailure
from kip.pulljob.record import Record, carried, new_record
from kip.pulljob.record_compaction import RecordCompactor
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import NodeView, Targets, nodes_of, select

Manifest = dict[str, Any]

LOOK_AT_PODS_SECONDS = 15.0
"""The nodes of a podSelector are looked up so often: it may name pods of any kind, which nobody watches."""

BLOCKED_SECONDS = 30.0
"""A right that is missing is looked for again so often."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobObservation:
    """What a job would do with as many nodes as it likes; `None` targets: the nodes may not be listed."""

    job: PullJob
    targets: Targets
    pods: tuple[PodView, ...]
    before: Record
    step: JobPlan
    wish: Demand


@dataclass(frozen=True, slots=True)
class JobNodes:
    """All nodes, None where they may not be listed, and a number that changes when they do."""

    views: tuple[NodeView, ...] | None
    version: int


@dataclass(slots=True)
class JobReconciler:
    """Runs one job. `now` is wall time, `clock` monotonic seconds."""

    cluster: Cluster
    found: JobObject
    hands: PodExecutor
    now: Callable[[], datetime]
    clock: Callable[[], float]
    memory: RecordStore = field(init=False)
    writer: StatusWriter = field(init=False)
    record: Record | None = None
    failures: tuple[JobFailure, ...] = ()
    _plan: str = ""
    _blocked: str = ""
    _blocked_until: float = 0.0
    _refused: dict[str, PullFailure | None] = field(default_factory=dict)
    _targets: Targets | None = None
    _targets_of: tuple[str, int, frozenset[str]] | None = None
    _holders: frozenset[str] = frozenset()
    _holders_at: float = 0.0
    _shown: JobPlan | None = None
    _lean: RecordCompactor = field(default_factory=RecordCompactor)
    _ended: JobPlan | None = None
    _ended_at: str = ""

    def __post_init__(self) -> None:
        self.memory = RecordStore(self.cluster, self.found)
        self.writer = StatusWriter(self.cluster, self.found, self.clock)

    def follow(self, found: JobObject) -> None:
        """Take the object as it is now."""
        self.found = self.memory.found = self.writer.found = found

    @property
    def idle(self) -> bool:
        """Whether there is nothing to pull: it is done, is going, or cannot be run."""
        return self.found.going or self.found.job is None or self.found.done

    def tidy(self, pods: Sequence[PodView]) -> datetime | None:
        """Do what an idle job needs: no pods, a status, its own end. Return when that is due."""
        self.record, self._shown, self._refused, self._targets = None, None, {}, None
        # A keeper knows many jobs that are over, and what is known of one may be large.
        self.memory, self._lean, self.failures = RecordStore(self.cluster, self.found), RecordCompactor(), ()
        self.hands.remove(tuple(Removal(pod.name, pod.uid) for pod in pods if not pod.deleting))
        if self.found.going:
            return None
        if self.found.job is None:
            self.writer.write(
                status_of_refused(
                    self.found.problem,
                    self.found.resource.kind,
                    self.writer.latest,
                    self.now(),
                    generation=self.found.generation,
                ),
                urgent=True,
            )
        expires = self.found.expires
        if expires and expires <= self.now():
            self.remove()
        return expires

    def look(self, pods: Sequence[PodView], nodes: JobNodes) -> JobObservation | None:
        """Return what the job would do now, None where its nodes cannot be known. Raises ApiError."""
        job = self.found.job
        if job is None:
            return None
        record = self._recall(job)
        if nodes.views is None and not (job.node_names or job.pod_labels):
            self._say_blocked("the nodes of the cluster may not be listed: grant it, or give selector.names")
            return None  # and nothing is over by that, whatever "no node" means elsewhere
        targets = self._select(job, nodes)
        mine = tuple(pods)
        wanted = plan_job(job, targets, mine, record, self.now(), refused=self._refused)
        starting = {start.node for start in wanted.starts}
        pulling = {pod.node for pod in mine if is_pulling(pod, self.now())}
        pulling |= {name for name, one in wanted.record.nodes.items() if one.open} - starting
        return JobObservation(job, targets, mine, record, wanted, Demand(len(pulling), len(starting)))

    def act(self, look: JobObservation, share: int) -> float | None:
        """Do it, with so many nodes more at most; return in how many seconds its status is to be written.

        Raises ApiError; the record as it was then holds, and the next round finds what was done of it.
        """
        done = look.step
        if self.clock() < self._blocked_until:
            share = 0
        if len(done.starts) > share:
            done = plan_job(
                look.job,
                look.targets,
                look.pods,
                look.before,
                self.now(),
                budget=share,
                refused=self._refused,
            )
        done = replace(done, record=self._lean(done.record, look.before))
        if done.starts or done.removals or done.record.finished:
            self._keep(done)
        self._note_end(done)
        self.record, self._shown, self._refused = done.record, done, {}
        self.failures = failures_of(look.job, look.targets, done.record)
        self._do(look.job, done)
        if done.expired:
            self.remove()
            return None
        document = self._document(look.job, done)
        return self.writer.write(document, urgent=bool(done.record.finished))

    def take_end(self) -> JobPlan | None:
        """Return the step that ended it, once: for who tells of it."""
        ended, self._ended = self._ended, None
        return ended

    def remove(self) -> None:
        """Delete the object; what belongs to it goes with it."""
        log.info("pull_job_expired", job=self.found.name, namespace=self.found.namespace)
        self.cluster.delete(self.found.resource, self.found.namespace, self.found.name, uid=self.found.uid)

    def view(self) -> JobsView:
        """Return the job as people are shown it."""
        found, status = self.found, self.writer.latest
        counts = status.get("nodes") or status
        desired, active, succeeded, failed = (
            int(counts.get(name) or 0) for name in ("desired", "active", "succeeded", "failed")
        )
        return JobsView(
            name=found.name,
            namespace=found.namespace,
            kind=found.resource.kind,
            phase=self._phase(),
            desired=desired,
            active=active,
            succeeded=succeeded,
            failed=failed,
            message=str(status.get("message") or ""),
            failures=tuple(_line(failure) for failure in status.get("failures") or ()),
        )

    @property
    def busy(self) -> bool:
        """Whether the next round has something to do at once."""
        return bool(self._refused)

    @property
    def next_at(self) -> datetime | None:
        """Return when time alone may change something, as of the last step."""
        return self._shown.next_at if self._shown else None

    def _recall(self, job: PullJob) -> Record:
        """Return the record to go on from: of this plan, or what an edit leaves of the former one."""
        plan = self.found.plan
        if self.record is None:
            kept = self._load()
            self.record, self._plan = (kept.record, kept.plan) if kept else (None, plan)
            if kept and kept.plan == plan and kept.record.images != job.images:
                self.record = None  # somebody's hand: its bits mean other images
        if self.record is None:
            self.record = new_record(job, self.now())
        elif self._plan != plan:
            self.record = _again(self.record, job, self.now())
            self._refused = {}
            log.info("pull_job_edited", job=job.name, namespace=job.namespace)
        self._plan = plan
        return self.record

    def _load(self) -> StoredRecord | None:
        try:
            return self.memory.load()
        except Forbidden as error:
            self._say_blocked(f"the job's record cannot be read: {error}")
            raise

    def _note_end(self, done: JobPlan) -> None:
        """Take note of the step that ended the job, unless its status told that already, or this keeper."""
        if not done.record.finished:
            return
        at = rfc3339(done.record.finished)
        if at not in (self._ended_at, self.writer.latest.get("completionTime")):
            self._ended, self._ended_at = done, at

    def _say_blocked(self, trouble: str) -> None:
        found = self.found
        self.writer.write(
            status_of_blocked(
                trouble, found.resource.kind, self.writer.latest, self.now(), generation=found.generation
            ),
            urgent=False,
        )

    def _keep(self, done: JobPlan) -> None:
        """Keep the record of a step; where that cannot be, the step is not done."""
        try:
            self.memory.keep(StoredRecord(done.record, self._plan))
        except Conflict:
            # Another keeper, or somebody's hand: what stands there now is what holds.
            self.record = None
            raise
        except (Forbidden, Invalid) as error:
            self._say_blocked(f"the job's record cannot be kept: {error}")
            raise

    def _do(self, job: PullJob, done: JobPlan) -> None:
        try:
            self._refused = self.hands.do(job, done)
            self._blocked = "" if self.clock() >= self._blocked_until else self._blocked
        except ApiError as error:
            # Whatever was not made costs no attempt.
            self._refused = {start.node: None for start in done.starts}
            if not is_final(error):
                raise
            self._blocked, self._blocked_until = f"blocked: {error}", self.clock() + BLOCKED_SECONDS

    def _select(self, job: PullJob, nodes: JobNodes) -> Targets:
        if job.pod_labels is not None and self.clock() >= self._holders_at:
            began = self.clock()
            pages = self.cluster.pages(Selection(PODS, job.namespace, labels=job.pod_labels.text))
            self._holders = frozenset().union(*(nodes_of(page.items) for page in pages))
            cost = self.clock() - began
            self._holders_at = self.clock() + max(LOOK_AT_PODS_SECONDS, pause_after(cost))
        of = (self._plan, nodes.version, self._holders)
        if self._targets is None or of != self._targets_of:
            self._targets, self._targets_of = select(job, nodes.views, self._holders), of
        return self._targets

    def _document(self, job: PullJob, done: JobPlan) -> Manifest:
        return status_of(
            job,
            done.status,
            self.failures,
            self.writer.latest,
            self.now(),
            generation=self.found.generation,
            trouble=self._blocked,
            digests=done.record.digests,
        )

    def _phase(self) -> Phase:
        held = {
            found["type"]: found.get("reason", "")
            for found in self.writer.latest.get("conditions") or ()
            if found["status"] == "True"
        }
        if "Failed" in held:
            return Phase.REFUSED if held["Failed"] == "InvalidSpec" else Phase.FAILED
        if "Complete" in held:
            return Phase.COMPLETE
        return {"Paused": Phase.PAUSED, "Blocked": Phase.BLOCKED}.get(
            held.get("Reconciling", ""), Phase.RUNNING
        )


def _again(record: Record, job: PullJob, now: datetime) -> Record:
    """Return the record of a job that was edited.

    What a running job has pulled it need not pull again. One that was over may be long over: it asks every
    node again, which downloads nothing where the image still is.
    """
    found = carried(record, job, now)
    if not record.finished:
        return found
    nodes = {name: replace(one, pulled=0, since=None, pulls={}) for name, one in found.nodes.items()}
    return replace(found, nodes=nodes, digests={})


def _line(failure: Mapping[str, Any]) -> str:
    return JobFailure(
        failure.get("image", ""),
        failure.get("reason", ""),
        failure.get("message", ""),
        tuple(failure.get("nodes") or ()),
        int(failure.get("count") or 0),
    ).line
