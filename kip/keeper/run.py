"""The keeper as a process: put together, started, and ended by a signal."""

import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from types import FrameType
from typing import Any, NoReturn

import structlog

from kip import __version__
from kip.cluster.api import DAEMONSETS, DEPLOYMENTS, EVENTS, TOLD_EVENTS, Cluster
from kip.cluster.event_recorder import EventRecorder
from kip.cluster.reads import observe, read_deployment
from kip.config.settings import Settings
from kip.core.rights import Rights, Rule
from kip.core.rollout.ownership import foreign_owner
from kip.core.status.kubernetes_events import read_pull
from kip.errors import KipError
from kip.jobs.controller import Controller
from kip.jobs.job_events import JobEvents
from kip.jobs.thread import JobsThread
from kip.keeper.condition_events import ConditionEvents
from kip.keeper.lease import Leadership, identity
from kip.keeper.loop import TICK_SECONDS, Loop
from kip.keeper.reconcile import Reconciler
from kip.keeper.refresher import Refresher, ask_registries
from kip.keeper.reporter import ImageScan, Reporter
from kip.keeper.settings_source import SettingsSource
from kip.keeper.triggers import Triggers, Watches
from kip.observe.health import Health
from kip.observe.http import serve
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState

Manifest = dict[str, Any]

STUCK_AFTER_SECONDS = 24 * TICK_SECONDS
"""A reconcile is a handful of requests of 25 s at the very most each."""

FAREWELL_SECONDS = 3.0
"""The process ends within 5 s of SIGTERM; long before the kubelet's 30 s, and soon enough for a rollout."""

JOBS_FAREWELL_SECONDS = 1.0

AGAIN_SECONDS = 0.5

TO_TELL = Rights(
    (Rule(frozenset({"create"}), frozenset({TOLD_EVENTS.group}), frozenset({"events"}), frozenset()),)
)
"""Events of jobs are tried: where they may not be written, that is logged once."""

log = structlog.get_logger()


class StopSignal(BaseException):
    """SIGTERM or SIGINT came, or the time for the farewell is over.

    Raised in the middle of whatever is being done, so that nothing delays the end: a reconcile may be cut off
    anywhere, as the next one starts from what it finds.
    """


def run(
    cluster: Cluster,
    environment: Mapping[str, str],
    *,
    pod_namespace: str,
    http_address: str,
    metrics: Metrics,
) -> None:
    """Keep the images until a signal comes, then end within seconds.

    The cache stays, except when our Deployment was scaled to 0.
    """
    settings = SettingsSource(cluster, environment, pod_namespace)
    health = Health(time.monotonic, STUCK_AFTER_SECONDS, ticked=time.monotonic())
    triggers, random = Triggers(), Random()  # noqa: S311 - spreads retries, guards nothing
    refresher = Refresher(
        _now,
        ask_registries(),
        answered=lambda: triggers.wake("registries_answered"),
        judged=metrics.refresh_judged,
    )
    me = identity(environment)
    reconciler = Reconciler(cluster, _now, time.monotonic, refresher, pod_namespace, me)
    leadership = Leadership(cluster, me, reconciler.rights, _now, time.monotonic)
    board = PageState(time.monotonic, health.problems)
    telling = ConditionEvents(
        EventRecorder(cluster, reconciler.rights, time.monotonic, me),
        board.note,
        lambda: _home(cluster, environment, pod_namespace),
        _now,
        time.monotonic,
    )
    telling.events.start()
    served = bool(http_address)
    survey = ImageScan(
        metrics, board, telling, cluster, reconciler.rights, _now, time.monotonic, served=served
    )
    hearers = {EVENTS: lambda event: _count_pull(event, settings.in_force, metrics)}
    loop = Loop(
        settings=settings,
        reconciler=reconciler,
        leadership=leadership,
        triggers=triggers,
        watches=Watches(cluster, triggers, time.monotonic, random, metrics.watch_restarted, hearers),
        health=health,
        measures=Reporter(metrics, survey, telling, _now, time.monotonic),
        now=_now,
        clock=time.monotonic,
        random=random,
    )
    survey.between = loop.keep_alive
    jobs = JobsThread(
        lambda woken: _jobs(cluster, settings, leadership, metrics, health, board, me, random, woken),
        time.thread_time,
    )
    log.info("keeper_started", version=__version__, http_address=http_address or None)
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, _stop)
        if http_address:
            serve(http_address, health, metrics, board)
        jobs.start()
        loop.run()
    except StopSignal as stop:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        # Python aborts when a daemon thread writes a line while the interpreter ends.
        loop.watches.follow(())
        jobs.stop(JOBS_FAREWELL_SECONDS)
        cache = _farewell_in_time(cluster, settings.in_force, leadership)
        log.info("keeper_stopping", signal=str(stop), cache=cache)


def _jobs(
    cluster: Cluster,
    settings: SettingsSource,
    leadership: Leadership,
    metrics: Metrics,
    health: Health,
    board: PageState,
    me: str,
    random: Random,
    woken: Callable[[], None],
) -> Controller:
    def noted(note: str) -> None:
        health.jobs_note = note

    events = EventRecorder(cluster, lambda _namespace: TO_TELL, time.monotonic, me)
    events.start()
    return Controller(
        cluster=cluster,
        settings=lambda: settings.in_force,
        may_act=lambda: leadership.in_time,
        events=JobEvents(events, _now),
        metrics=metrics,
        seen=board.show_jobs,
        noted=noted,
        woken=woken,
        now=_now,
        clock=time.monotonic,
        random=random,
    )


def _farewell_in_time(cluster: Cluster, settings: Settings | None, leadership: Leadership) -> str:
    """Say farewell and let go of the lease, but end in time also when the API server is silent."""
    cache = "kept, as the API server did not answer in time"
    signal.setitimer(signal.ITIMER_REAL, FAREWELL_SECONDS)
    try:
        cache = shutdown(cluster, settings, leadership)
        leadership.release()
    except StopSignal as stop:
        log.debug("shutdown_cut_short", signal=str(stop))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return cache


def shutdown(cluster: Cluster, settings: Settings | None, leadership: Leadership) -> str:
    """Take the cache along if our Deployment was scaled to 0: that is how people switch a keeper off.

    Return what became of the cache, for the log. When the Deployment was deleted, the garbage collector
    removes the cache by its owner reference; on any other end it stays and keeps the images. A standby leaves
    all that to the keeper that holds the lease.
    """
    if settings is None:
        return "none"
    if not leadership.holding:
        return f"left to {leadership.holder or 'the keeper that holds the lease'}"
    try:
        rights = cluster.rights(settings.namespace)
        deployment = read_deployment(cluster, settings.namespace, settings.deployment_name, rights)
        if deployment is None or not deployment.scaled_to_zero:
            return "kept"
        observed = observe(cluster, settings, rights)
        found = observed.daemonset
        ours = [found] if found and not foreign_owner(found, observed.owner) else []
        for daemonset in [*ours, *observed.others]:
            metadata = daemonset["metadata"]
            cluster.delete(DAEMONSETS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
    except KipError as error:
        return f"kept, as the API server could not be asked: {error}"
    return "deleted, as the Deployment was scaled to 0" if ours else "none of ours"


def _home(cluster: Cluster, environment: Mapping[str, str], namespace: str) -> Manifest | None:
    """Return our Deployment, which Events are on while there is no cache; None where it cannot be read."""
    name = environment.get("DEPLOYMENT_NAME", "").strip()
    try:
        return cluster.get(DEPLOYMENTS, namespace, name) if name and namespace else None
    except KipError:
        return None


def _count_pull(event: Manifest, settings: Settings | None, metrics: Metrics) -> None:
    pull = read_pull(event, settings.daemonset_name) if settings else None
    if settings and pull and pull.container in {entry.name for entry in settings.images}:
        metrics.pulled(pull.container, pull.seconds, pull.size)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    # An exception that comes up in a destructor is swallowed by Python: then the alarm raises it again.
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    raise StopSignal(signal.Signals(number).name)


def _now() -> datetime:
    return datetime.now(UTC)
