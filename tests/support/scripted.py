"""A loop that is driven by a script of reasons, in a cluster of plain dicts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from fakes import Clock, FakeCluster, unasked
from structlog.testing import capture_logs

from kip.cluster.api import Selection
from kip.cluster.event_recorder import EventRecorder
from kip.errors import ServerError
from kip.keeper.condition_events import ConditionEvents
from kip.keeper.lease import Leadership
from kip.keeper.loop import Loop
from kip.keeper.reconcile import Reconciler
from kip.keeper.reporter import ImageScan, Reporter
from kip.keeper.settings_source import SettingsSource
from kip.observe.health import Health
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
IMAGES = "a=registry.example/a:1.0.0"


class Ended(Exception):
    """The script of a test is over."""


@dataclass
class ScriptedTriggers:
    """Gives the reasons of a script, one wait each, and ends the loop."""

    script: list[tuple[str, ...]]
    woken: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def wake(self, reason: str) -> None:
        self.woken.append(reason)

    def wait(self, seconds: float) -> tuple[str, ...]:
        self.waits.append(seconds)
        if not self.script:
            raise Ended
        return self.script.pop(0)


@dataclass
class RecordedWatches:
    """Records what was to be watched."""

    followed: list[set[Selection]] = field(default_factory=list)

    def follow(self, selections) -> None:
        self.followed.append(set(selections))


def loop(cluster: FakeCluster, *script: tuple[str, ...], **environment: str) -> Loop:
    clock = Clock()

    def now() -> datetime:
        return EPOCH + timedelta(seconds=clock.seconds)

    reconciler = Reconciler(cluster, now, clock, unasked(now))
    return Loop(
        settings=SettingsSource(cluster, environment, "images"),
        reconciler=reconciler,
        leadership=Leadership(cluster, "me", reconciler.rights, now, clock),
        triggers=ScriptedTriggers(list(script)),
        watches=RecordedWatches(),
        health=Health(clock, 60.0, ticked=0.0),
        measures=measures(cluster, reconciler, now, clock),
        now=now,
        clock=clock,
        random=Random(1),
    )


def measures(cluster: FakeCluster, reconciler: Reconciler, now, clock: Clock) -> Reporter:
    metrics = Metrics()
    telling = ConditionEvents(
        EventRecorder(cluster, reconciler.rights, clock, "me"), lambda _: None, lambda: None, now, clock
    )
    survey = ImageScan(metrics, PageState(clock), telling, cluster, reconciler.rights, now, clock)
    return Reporter(metrics, survey, telling, now, clock)


def other(cluster: FakeCluster) -> Leadership:
    """Return another keeper's hold on the lease of the same cache."""
    there = Leadership(cluster, "other", cluster.rights, lambda: EPOCH, Clock())
    there.follow("images", "kubernetes-image-puller")
    with capture_logs():
        assert there.hold()
    return there


def run_quietly(it: Loop) -> None:
    with pytest.raises(Ended):
        it.run()


def run(it: Loop) -> list[dict]:
    """Run until the script is over; return the log."""
    with capture_logs() as logs:
        run_quietly(it)
    return [line for line in logs if line["event"].startswith("reconcile")]


def failing(*script, **environment) -> Loop:
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [ServerError("down"), ServerError("still down")]
    return loop(cluster, *script, IMAGES=IMAGES, **environment)
