"""A job run to its end by one process, which keeps the record in memory: `kip pull`.

When the process is killed its pods end by themselves; the next run of the same job finds them by their
labels and goes on from there. What was pulled and whose pod is gone is asked for again, which costs a pod,
and no download.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

import structlog

from kip.cluster.api import EVENTS, PODS, Cluster, Selection
from kip.cluster.backoff import backoff
from kip.cluster.list_pacing import pause_after
from kip.core.status.kubernetes_events import NOT_SET_UP, PULLS
from kip.errors import ApiError, KipError
from kip.pulljob.executor import PodExecutor, is_final
from kip.pulljob.node_progress import Removal
from kip.pulljob.node_reader import read_nodes
from kip.pulljob.planner import JobPlan, PodStart, leftover_pods, plan_job
from kip.pulljob.pod import Shape, render_pod
from kip.pulljob.pod_view import JOB_LABEL, PodView, PullFailure, read_pod
from kip.pulljob.podbook import PodBook
from kip.pulljob.pull_events import UNTOLD, apply_pull_events, explain_failures
from kip.pulljob.record import FRESH, Record, new_record
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import Targets

LOOK_AT_NODES_SECONDS = 30.0

LONGEST_WAIT_SECONDS = 30.0
TRIES = 5
GATHER_SECONDS = 0.1
"""Changes that come together are looked at together."""

LEARN_SECONDS = 900.0
"""Events are gone after an hour, so that a long job looks at them now and then."""

log = structlog.get_logger()

Told = Callable[[Targets, JobPlan], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended: its last step, its nodes, the seconds it took; `stopped` by whoever started it."""

    targets: Targets
    step: JobPlan
    seconds: float
    stopped: bool = False


@dataclass(slots=True)
class Runner:
    """Runs one job. `now` is wall time, `clock` monotonic seconds; `told` hears of each step.

    `book` may be given for tests; it has to follow the pods of `job` then.
    """

    cluster: Cluster
    job: PullJob
    shape: Shape
    now: Callable[[], datetime]
    clock: Callable[[], float]
    random: Random
    told: Told
    book: PodBook | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _earlier: tuple[PodView, ...] = ()
    _ours: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        """Ask for the end: all pods are removed. Safe in a signal handler."""
        self._stopped.set()
        if self.book:
            self.book.wake()

    def run(self) -> RunResult:
        """Run to the end. Raises ApiError where a right is missing or the namespace is; no pod stays then."""
        began = self.clock()
        selection = Selection(PODS, self.job.namespace, labels=f"{JOB_LABEL}={self.job.key}")
        self.book = self.book or PodBook(self.cluster, selection, self.clock, self.random)
        hands = PodExecutor(self.cluster, self.job.namespace, self.shape, self.book)
        targets = read_nodes(self.cluster, self.job)
        self._try(targets)
        self._tidy(hands)
        self.book.start()
        record: Record | None = None
        try:
            end = self._loop(self.book, hands, targets, began)
            record = end.step.record
        finally:
            self._clear(hands, targets, record)
            self.book.stop()
        return end

    def _loop(self, book: PodBook, hands: PodExecutor, targets: Targets, began: float) -> RunResult:
        record = new_record(self.job, self._time())
        for pod in self._earlier:
            serial = max(pod.serial, record.of(pod.node).closed)
            nodes = {**record.nodes, pod.node: replace(FRESH, started=serial, closed=serial)}
            record = replace(record, nodes=nodes)
        refused: dict[str, PullFailure | None] = {}
        look_at, learn_at = self.clock() + LOOK_AT_NODES_SECONDS, self.clock() + LEARN_SECONDS
        while not book.complete and not self._stopped.is_set():
            book.wait(LONGEST_WAIT_SECONDS)
        while True:
            if self.clock() >= look_at:
                targets, look_at = self._look_again(targets)
            done = plan_job(self.job, targets, self._mine(book), record, self._time(), refused=refused)
            record = done.record
            self.told(targets, done)
            if record.finished or self._stopped.is_set() or not self.job.parallelism:
                last = JobPlan(self._learn(record), done.status)
                return RunResult(targets, last, self.clock() - began, stopped=self._stopped.is_set())
            refused = hands.do(self.job, done)
            if self.clock() >= learn_at:
                record, learn_at = self._learn(record), self.clock() + LEARN_SECONDS
            self._wait(book, done, look_at, at_once=bool(refused))

    def _time(self) -> datetime:
        """Return the time by the cluster's clocks, which the time limits of pods are reckoned by."""
        return self.now() + self.cluster.ahead

    def _try(self, targets: Targets) -> None:
        """Raise what a missing right comes to before anything is begun."""
        if not targets.nodes:
            return
        pod = render_pod(self.job, PodStart(targets.nodes[0].name, 1, (0,)), self.shape)
        try:
            self.cluster.create(PODS, self.job.namespace, pod, dry_run=True)
        except ApiError as error:
            if is_final(error):
                raise

    def _mine(self, book: PodBook) -> tuple[PodView, ...]:
        earlier = {pod.uid for pod in self._earlier}
        mine = tuple(pod for pod in book.views() if pod.job == self.job.key and pod.uid not in earlier)
        self._ours |= {pod.uid: pod.node for pod in mine}
        return mine

    def _wait(self, book: PodBook, done: JobPlan, look_at: float, *, at_once: bool) -> None:
        seconds = 0.0 if at_once else min(LONGEST_WAIT_SECONDS, look_at - self.clock())
        if done.next_at:
            seconds = min(seconds, (done.next_at - self._time()).total_seconds())
        book.wait(max(seconds, GATHER_SECONDS))
        self._stopped.wait(GATHER_SECONDS)

    def _look_again(self, before: Targets) -> tuple[Targets, float]:
        began = self.clock()
        try:
            found = read_nodes(self.cluster, self.job)
        except ApiError as error:
            if is_final(error):
                raise
            log.warning("nodes_not_read", error=str(error))
            return before, self.clock() + backoff(error, 3, self.random)
        cost = self.clock() - began
        return found, self.clock() + max(LOOK_AT_NODES_SECONDS, pause_after(cost))

    def _learn(self, record: Record) -> Record:
        """Add what Events tell, where they may be listed."""
        with suppress(ApiError):
            events, idle = Selection(EVENTS, self.job.namespace, fields=PULLS), dict(self._ours)
            for page in self.cluster.pages(events):
                record = apply_pull_events(self.job, record, page.items, self._ours)
                for event in page.items:
                    idle.pop(event["involvedObject"].get("uid", ""), None)
            if any(fault.reason in UNTOLD for one in record.nodes.values() for fault in one.faults.values()):
                why = [Selection(EVENTS, self.job.namespace, fields=fields) for fields in NOT_SET_UP]
                found = [event for one in why for page in self.cluster.pages(one) for event in page.items]
                record = explain_failures(record, found, idle)
        return record

    def _tidy(self, hands: PodExecutor) -> None:
        """Remove the pods of drivers that were killed long ago, whatever their job was.

        Of this job's own, those that have ended tell nothing about a tag as it is now: with pull policy
        Always they are not taken for done.
        """
        found = self._list(JOB_LABEL)
        stale = leftover_pods(found, self._time())
        if self.job.pull_policy == "Always":
            # They are seen for a while longer, so that their serials are not given again.
            self._earlier = tuple(
                pod for pod in found if pod.job == self.job.key and (pod.ended or pod.deleting)
            )
            stale += tuple(Removal(pod.name, pod.uid) for pod in self._earlier)
        hands.remove(stale)

    def _clear(self, hands: PodExecutor, targets: Targets, record: Record | None) -> None:
        """Leave no pod but those that shall hold what they pulled; of a run that was stopped none at all."""
        pause = threading.Event()
        for failures in range(TRIES):
            with suppress(ApiError):
                left = self._list(f"{JOB_LABEL}={self.job.key}")
                removals = tuple(Removal(pod.name, pod.uid) for pod in left if not pod.deleting)
                if record and record.finished:
                    removals = plan_job(self.job, targets, left, record, self._time()).removals
                if not removals:
                    return
                hands.remove(removals)
                if not failures:
                    continue
            pause.wait(backoff(KipError(""), failures, self.random))
        log.warning("pods_left", job=self.job.name, namespace=self.job.namespace)

    def _list(self, labels: str) -> list[PodView]:
        pages = self.cluster.pages(Selection(PODS, self.job.namespace, labels=labels))
        return [read_pod(pod) for page in pages for pod in page.items]
