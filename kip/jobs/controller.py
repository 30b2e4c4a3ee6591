"""All jobs of all namespaces, round by round: each says what it would do, gets its share, and does it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from random import Random

import structlog

from kip.cluster.api import NODES, Cluster, Selection
from kip.cluster.backoff import FORBIDDEN_SECONDS, backoff
from kip.cluster.reads import detect_platform
from kip.config.settings import Platform, Settings
from kip.core.status.jobs_view import JobsView
from kip.errors import ApiError, Forbidden, InternalError, KipError
from kip.jobs.budget import allocate
from kip.jobs.job_events import JobEvents
from kip.jobs.job_object import JobObject
from kip.jobs.job_reconciler import JobNodes, JobObservation, JobReconciler
from kip.jobs.namespace_jobs import NamespaceJobs
from kip.jobs.openkruise import foreign_definition_reason
from kip.jobs.shelf import Shelf
from kip.observe.metrics import Metrics
from kip.pulljob.executor import PodExecutor
from kip.pulljob.node_progress import Removal, is_pulling
from kip.pulljob.planner import leftover_pods
from kip.pulljob.pod import Shape
from kip.pulljob.pod_view import PodView
from kip.pulljob.targets import NodeView, read_node

LONGEST_PAUSE_SECONDS = 30.0
STANDBY_SECONDS = 2.0
"""Settings and lease are looked at so often while nothing is to be done; that asks the API server nothing."""

TIDY_SECONDS = 60.0
LOOK_AT_DEFINITIONS_SECONDS = 60.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """A worker, and when it may be asked again after an error."""

    worker: JobReconciler
    failures: int = 0
    retry_at: float = 0.0


@dataclass(slots=True)
class Controller:
    """Runs the jobs while `may_act`. For one thread; `now` is wall time, `clock` monotonic seconds.

    `woken` is called from other threads when something may have changed; `seen` hears of all jobs after each
    round, and `noted` in a sentence how things are, "" where there is nothing to say.
    """

    cluster: Cluster
    settings: Callable[[], Settings | None]
    may_act: Callable[[], bool]
    events: JobEvents
    metrics: Metrics
    seen: Callable[[tuple[JobsView, ...]], None]
    noted: Callable[[str], None]
    woken: Callable[[], None]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    random: Random
    place_of: Callable[..., NamespaceJobs] = NamespaceJobs
    shelf_of: Callable[..., Shelf[NodeView]] = Shelf
    _places: dict[str, NamespaceJobs] = field(default_factory=dict)
    _closed_until: dict[str, float] = field(default_factory=dict)
    _held: dict[str, _Held] = field(default_factory=dict)
    _nodes: Shelf[NodeView] | None = None
    _shape: Shape = field(default_factory=lambda: Shape(""))
    _shaped_by: tuple[str, Platform] | None = None
    _aside: str = ""
    _turn: int = 0
    _looked_at: float = float("-inf")

    def round(self) -> float:
        """Go through all jobs once; return in how many seconds it is to be done again at the latest."""
        settings = self.settings()
        if settings is None or not settings.pull_job_namespaces:
            self._end_pulls(self._places)
            self._rest("")
            return STANDBY_SECONDS
        if not self.may_act():
            self._rest("standby: the keeper that holds the lease runs them")
            return STANDBY_SECONDS
        if why := self._stands_aside():
            self._end_pulls(self._places)
            self._rest(f"none is run: {why}")
            return LONGEST_PAUSE_SECONDS
        try:
            self._shape_by(settings)
        except ApiError as error:
            self.noted(f"none is run: the platform is not known: {error}")
            return STANDBY_SECONDS
        problems = self._open(settings.pull_job_namespaces)
        waiting, pause = False, LONGEST_PAUSE_SECONDS
        ready: list[tuple[_Held, list[PodView]]] = []
        for place in [*self._places.values()]:
            if not self._is_ready(place):
                # What may not be read hides nothing of the others.
                waiting |= place.namespace in self._places and not place.problem
                continue
            pods = place.pods()
            self._tidy(place)
            ready += [(held, pods.get(held.worker.found.key, [])) for held in self._workers(place)]
        # Pods of a namespace that is not listed yet may pull already, for the keeper before.
        pause = min(pause, self._work(ready, 0 if waiting else settings.pull_budget))
        problems += [place.problem for place in self._places.values() if place.problem]
        self.noted("; ".join(dict.fromkeys(problems)))
        views = tuple(held.worker.view() for held, _ in ready)
        if not waiting:
            self.metrics.jobs_seen(views, settings.pull_budget)
            self.seen(views)
        return pause

    def stop(self) -> None:
        """Follow nothing any more."""
        self._rest("")

    def _rest(self, note: str) -> None:
        for place in self._places.values():
            place.stop()
        self._follow_nodes(follow=False)
        if self._places:
            self.metrics.jobs_seen((), 0)
            self.seen(())
        self._places.clear()
        self._held.clear()
        self.noted(note)

    def _stands_aside(self) -> str:
        """Look at the definitions now and then; while they cannot be read what was known holds."""
        if self.clock() < self._looked_at + LOOK_AT_DEFINITIONS_SECONDS:
            return self._aside
        try:
            why = foreign_definition_reason(self.cluster)
        except ApiError as error:
            return self._aside or ("" if self._places else f"the API server does not tell: {error}")
        self._looked_at = self.clock()
        if why != self._aside:
            log.warning("pull_jobs_not_run", reason=why) if why else log.info("pull_jobs_run")
        self._aside = why
        return why

    def _open(self, namespaces: Iterable[str]) -> list[str]:
        """Follow exactly these namespaces; one that failed is tried again after a while."""
        wanted = dict.fromkeys(namespaces)
        for name in self._places.keys() - wanted.keys():
            self._end_pulls([name])
            self._close(name)
        closed = []
        for name in wanted:
            if name in self._places:
                continue
            if self.clock() < self._closed_until.get(name, 0.0):
                closed.append(f"jobs of namespace {name} are not run: rights are missing")
                continue
            place = self.place_of(self.cluster, name, self.woken, self.clock, self.random)
            place.start()
            self._places[name] = place
        return closed

    def _end_pulls(self, names: Iterable[str]) -> None:
        """Remove the pods of jobs that nobody runs any more; where that fails they end by themselves."""
        for place in [self._places[name] for name in names]:
            keys = {job.key for job in place.jobs()}
            pods = [pod for pod in place.book.views() if pod.job in keys and not pod.deleting]
            self._remove(place, tuple(Removal(pod.name, pod.uid) for pod in pods))

    def _close(self, name: str) -> None:
        self._places.pop(name).stop()
        for uid in [uid for uid, held in self._held.items() if held.worker.found.namespace == name]:
            del self._held[uid]

    def _is_ready(self, place: NamespaceJobs) -> bool:
        try:
            return place.complete
        except KipError as error:
            log.warning("pull_jobs_blocked", namespace=place.namespace, error=str(error))
            self._close(place.namespace)
            self._closed_until[place.namespace] = self.clock() + FORBIDDEN_SECONDS
            return False

    def _workers(self, place: NamespaceJobs) -> list[_Held]:
        """Return the workers of the namespace's jobs, the oldest first; those of jobs that are gone end."""
        jobs = {found.uid: found for found in place.jobs()}
        for uid, held in [*self._held.items()]:
            if held.worker.found.namespace == place.namespace and uid not in jobs:
                del self._held[uid]
                self.events.forget(uid)
        for uid, found in jobs.items():
            if uid not in self._held:
                self._held[uid] = _Held(self._worker(place, found))
            elif self._held[uid].worker.found.generation != found.generation:
                self._held[uid].retry_at = 0.0
                self.events.forget(uid)
            self._held[uid].worker.follow(found)
        return [self._held[uid] for uid in jobs]

    def _shape_by(self, settings: Settings) -> None:
        """Have pods made as the settings say; workers that made others begin anew. Raises ApiError."""
        wanted = (settings.kip_image, settings.platform)
        if wanted != self._shaped_by:
            platform = detect_platform(self.cluster, settings.platform)
            self._shape = Shape(settings.kip_image, platform is Platform.OPENSHIFT)
            self._shaped_by = wanted
            self._held.clear()

    def _worker(self, place: NamespaceJobs, found: JobObject) -> JobReconciler:
        shape = replace(self._shape, owner=found.owner)
        hands = PodExecutor(self.cluster, place.namespace, shape, place.book)
        return JobReconciler(self.cluster, found, hands, self._time, self.clock)

    def _time(self) -> datetime:
        """Return the time by the API server's clock, which pods and jobs are stamped by."""
        return self.now() + self.cluster.ahead

    def _work(self, ready: list[tuple[_Held, list[PodView]]], budget: int) -> float:
        """Have every job do what it may now; return the seconds until the next one has something to do."""
        pause = LONGEST_PAUSE_SECONDS
        now = self.clock()
        due = [(held, pods) for held, pods in ready if held.retry_at <= now]
        self._follow_nodes(follow=any(not held.worker.idle for held, _ in ready))
        nodes = self._known_nodes()
        looks: dict[str, tuple[_Held, JobObservation]] = {}
        for held, pods in due:
            if held.worker.idle:
                pause = min(pause, self._tried(held, partial(self._tidied, held.worker, pods)))
            elif nodes:
                look_at = partial(self._looked, held, pods, nodes, looks)
                pause = min(pause, self._tried(held, look_at, proves=False))
        self._turn += 1
        # What those pull that are not looked at now, as they are delayed or over, is taken all the same.
        taken = sum(self._pulling(held, pods) for held, pods in ready if held.worker.found.uid not in looks)
        given = allocate(budget - taken, {uid: look.wish for uid, (_, look) in looks.items()}, self._turn)
        # Who acts first has its pods a while longer until the next round: that too goes round.
        names, first = [*looks], self._turn % max(len(looks), 1)
        for uid in names[first:] + names[:first]:
            held, look = looks[uid]
            if self.may_act():
                pause = min(pause, self._tried(held, partial(self._act, held.worker, look, given[uid])))
        return min([pause, *(max(held.retry_at - now, 0.0) for held, _ in ready if held.retry_at > now)])

    def _tidied(self, worker: JobReconciler, pods: list[PodView]) -> float:
        return self._until(worker.tidy(pods))

    def _looked(
        self,
        held: _Held,
        pods: list[PodView],
        nodes: JobNodes,
        looks: dict[str, tuple[_Held, JobObservation]],
    ) -> float:
        if found := held.worker.look(pods, nodes):
            looks[held.worker.found.uid] = held, found
        return LONGEST_PAUSE_SECONDS

    def _act(self, worker: JobReconciler, look: JobObservation, share: int) -> float:
        try:
            status_in = worker.act(look, share)
        finally:
            # What is done is done, and told, also when its status could not be written.
            self._tell(worker, look)
        pauses = [self._until(worker.next_at)]
        if status_in is not None:
            pauses.append(status_in)
        return 0.0 if worker.busy else min(pauses)

    def _tell(self, worker: JobReconciler, look: JobObservation) -> None:
        if worker.record is None:
            return
        self.metrics.job_pulls(*_settled(look, worker))
        self.events.failed(worker.found, worker.failures)
        if ended := worker.take_end():
            status = ended.status
            self.events.ended(worker.found, ended, worker.failures)
            seconds = ((status.finished or status.started) - status.started).total_seconds()
            self.metrics.job_ended("failed" if status.failed else "complete", seconds)
            log.info(
                "pull_job_ended",
                job=worker.found.name,
                namespace=worker.found.namespace,
                message=status.message,
                nodes=status.desired,
                succeeded=status.succeeded,
                failed=status.failed,
                seconds=round(seconds, 1),
            )

    def _pulling(self, held: _Held, pods: list[PodView]) -> int:
        """Return on how many nodes a job pulls, by its pods, and by what it may just have begun."""
        nodes = {pod.node for pod in pods if is_pulling(pod, self._time())}
        if held.worker.record and not held.worker.idle:
            nodes |= {name for name, one in held.worker.record.nodes.items() if one.open}
        return len(nodes)

    def _tried(self, held: _Held, do: Callable[[], float], *, proves: bool = True) -> float:
        """Do something for one job; what goes wrong with it is told and tried again, and hinders no other.

        `proves`: that it went well ends the row of failures; else something is still to be done.
        """
        try:
            pause = do()
        except KipError as error:
            fault = error
        except Exception as error:  # the outermost frame of one job
            log.warning("fault", exc_info=True)
            fault = InternalError(error)
        else:
            held.failures = 0 if proves else held.failures
            return pause
        seconds = backoff(fault, held.failures, self.random)
        held.failures += 1
        held.retry_at = self.clock() + seconds
        found = held.worker.found
        log.warning(
            "pull_job_delayed",
            job=found.name,
            namespace=found.namespace,
            error=str(fault),
            retry_in_s=round(seconds, 1),
        )
        return seconds

    def _until(self, time: datetime | None) -> float:
        return max((time - self._time()).total_seconds(), 0.0) if time else LONGEST_PAUSE_SECONDS

    def _follow_nodes(self, *, follow: bool) -> None:
        """Watch the nodes while a job runs, which is dear in a large cluster, and not when none does."""
        if follow and self._nodes is None:
            self._nodes = self.shelf_of(
                self.cluster, Selection(NODES, ""), read_node, self.woken, self.clock, self.random
            )
            self._nodes.start()
        elif not follow and self._nodes:
            self._nodes.stop()
            self._nodes = None

    def _known_nodes(self) -> JobNodes | None:
        shelf = self._nodes
        if shelf is None:
            return None
        if isinstance(shelf.refused, Forbidden) and not shelf.complete:
            return JobNodes(None, 0)
        return JobNodes(shelf.items(), shelf.changes) if shelf.complete else None

    def _tidy(self, place: NamespaceJobs) -> None:
        """Remove pods that nobody can wait for any more, also those of a `kip pull` that was killed."""
        if self.clock() < place.tidied_at + TIDY_SECONDS:
            return
        place.tidied_at = self.clock()
        self._remove(place, leftover_pods(place.book.views(), self._time()))

    def _remove(self, place: NamespaceJobs, removals: tuple[Removal, ...]) -> None:
        hands = PodExecutor(self.cluster, place.namespace, self._shape, place.book)
        try:
            hands.remove(removals)
        except ApiError as error:
            log.warning("pods_left", namespace=place.namespace, error=str(error))


def _settled(look: JobObservation, worker: JobReconciler) -> tuple[int, int]:
    """Return how many images came to nodes by this step, and how many were given up on nodes."""
    pulled = failed = 0
    for name, one in (worker.record.nodes if worker.record else {}).items():
        before = look.before.nodes.get(name)
        if before is one:
            continue
        pulled += (one.pulled & ~(before.pulled if before else 0)).bit_count()
        failed += (one.failed & ~(before.failed if before else 0)).bit_count()
    return pulled, failed
