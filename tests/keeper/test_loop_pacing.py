"""The loop's patience: how soon a failure is retried, how often a dear look is made."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import Clock, FakeCluster, configmap
from samples import COMPLETE
from scripted import EPOCH, IMAGES, Ended, ScriptedTriggers, failing, loop, run, run_quietly
from structlog.testing import capture_logs

from kip.cluster.api import DAEMONSETS
from kip.core.rollout.plan_types import Plan
from kip.errors import Cause, Invalid, ServerError, TooManyRequests


def test_an_error_is_reported_and_the_loop_goes_on():
    lines = run(failing(("start",), ("retry",), ("retry",)))
    assert [line["event"] for line in lines] == ["reconcile_failed", "reconcile_failed", "reconcile_done"]


def test_an_error_is_retried_later_and_later():
    lines = run(failing(("start",), ("retry",)))
    assert lines[0]["retry_in_s"] < lines[1]["retry_in_s"]


def test_a_fault_of_kips_own_is_reported_and_retried():
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [KeyError("spec")]
    lines = run(loop(cluster, ("start",), ("retry",), IMAGES=IMAGES))
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("reconcile_failed", "InternalError"),
        ("reconcile_done", None),
    ]


@dataclass
class TimedTriggers(ScriptedTriggers):
    """Lets the time pass that is waited for, and gives the reasons that came by then."""

    clock: Clock | None = None
    script: list[tuple[float, str]] = field(default_factory=list)

    def wait(self, seconds: float) -> tuple[str, ...]:
        due = min((at for at, _ in self.script), default=60.0)
        self.clock.seconds += min(max(seconds, 0.1), max(due - self.clock.seconds, 0.1))
        if self.clock.seconds > 60.0:
            raise Ended
        came = tuple(reason for at, reason in self.script if at <= self.clock.seconds)
        self.script = [(at, reason) for at, reason in self.script if at > self.clock.seconds]
        return came


def times_of_looks(error: ServerError | TooManyRequests, *script: tuple[float, str]) -> list[float]:
    """Return when, in seconds, the loop looked while each look failed and these reasons came."""
    times: list[float] = []

    class Failing(FakeCluster):
        def list_all(self, *_):
            times.append(it.clock.seconds)
            raise error

    it = loop(Failing(), IMAGES=IMAGES)
    it.triggers = TimedTriggers([(0.0, "start"), *script], clock=it.clock)
    run(it)
    return times


CHANGES = [(tenth / 10, "daemonset_changed") for tenth in range(600)]


def test_changes_that_keep_coming_do_not_undo_the_back_off():
    times = times_of_looks(ServerError("down"), *CHANGES)
    assert (len(times) < 20, max(times) > 50) == (True, True)


def test_a_change_is_looked_at_before_the_retry_is_due():
    times = times_of_looks(ServerError("down"), *CHANGES[:300], (50.0, "configmap_changed"))
    assert 50.0 <= times[-1] < 51.0


def test_no_change_shortens_the_wait_that_the_server_asks_for():
    times = times_of_looks(TooManyRequests("later", retry_after=20.0), *CHANGES)
    assert [later - earlier >= 20.0 for earlier, later in pairwise(times)] == [True, True]


def test_a_change_during_the_wait_is_not_forgotten():
    times = times_of_looks(TooManyRequests("later", retry_after=20.0), (1.0, "daemonset_changed"))
    assert len(times) == 2


def times_of_dear_looks(*script: tuple[float, str]) -> list[float]:
    """Return when the loop looked while the cache filled and each look took half a second."""
    times: list[float] = []

    class Filling(FakeCluster):
        def list_all(self, selection):
            if selection.resource == DAEMONSETS:
                times.append(it.clock.seconds)
                it.clock.seconds += 0.5
            return super().list_all(selection)

    cluster = Filling()
    it = loop(cluster, IMAGES=IMAGES)
    it.once(("start",))
    cluster.daemonset()["status"] = {**COMPLETE, "numberReady": 0}
    it.clock.seconds, times[:] = 0.0, []
    it.triggers = TimedTriggers([(0.0, "start"), *script], clock=it.clock)
    run(it)
    return times


def test_after_a_dear_look_counts_that_change_are_not_looked_at_for_a_while():
    times = times_of_dear_looks(*CHANGES)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert (len(pauses) > 2, min(pauses) >= 10.0) == (True, True)


def test_a_look_that_took_minutes_does_not_blind_the_keeper():
    it = loop(FakeCluster(), IMAGES=IMAGES)
    it._look_again(Plan(pending="x"), 400.0)
    assert it._sated_until == 120.0
    it._look_again(Plan(), 0.1)
    assert it._sated_until == 0.0


def test_settings_that_the_api_server_refuses_are_tried_again():
    class Strict(FakeCluster):
        refuses = True

        def create(self, resource, namespace, manifest, *, dry_run=False):
            if self.refuses and "bad" in str(manifest["spec"]):
                raise Invalid("refused", causes=(Cause("spec.template.spec.nodeSelector", "no"),))
            return super().create(resource, namespace, manifest, dry_run=dry_run)

    cluster = Strict(configmap(IMAGES=IMAGES))
    it = loop(cluster, CONFIGMAP_NAME="settings")
    with capture_logs():
        it.once(("start",))
        cluster.objects["ConfigMap", "images", "settings"]["data"]["NODE_SELECTOR"] = "bad=1"
        it.once(("configmap_changed",))
        before = it.health.settings_problem
        cluster.refuses = False
        it.once(("refused",))
    assert (before != "", it.health.settings_problem, len(it.timers.get_jobs("refused"))) == (True, "", 1)


def test_a_deletion_is_looked_at_even_then():
    assert times_of_dear_looks((3.0, "daemonset_deleted"))[1] < 4.0


@pytest.mark.parametrize(("asked", "seconds"), [(2.4, 3), (20.0, 20)])
def test_a_retry_does_not_come_before_it_is_due(asked, seconds):
    cluster = FakeCluster()
    cluster.failures["list daemonsets"] = [TooManyRequests("later", retry_after=asked)]
    it = loop(cluster, ("start",), IMAGES=IMAGES)
    run(it)
    (job,) = it.timers.get_jobs("retry")
    assert job.interval == seconds


def test_a_refresh_that_is_due_does_not_undo_the_back_off():
    it = failing(("start",), ())
    it._refresh_at = EPOCH
    run(it)
    assert it.triggers.woken == ["start"]


def test_timers_are_set_anew_when_the_wall_clock_is_set():
    it = loop(FakeCluster(), ("start",), (), ("clock_jumped",), IMAGES=IMAGES)
    true, jump = it.now, timedelta()
    wait = it.triggers.wait

    def set_back(seconds):
        nonlocal jump
        jump = timedelta(hours=1)
        return wait(seconds)

    it.triggers.wait = set_back
    it.now = lambda: true() - jump
    with capture_logs() as logs:
        run_quietly(it)
    assert [line["by_s"] for line in logs if line["event"] == "clock_jumped"] == [-3600.0]
    assert (it.triggers.woken[1:], len(it.timers.get_jobs()) > 0) == (["clock_jumped"], True)
