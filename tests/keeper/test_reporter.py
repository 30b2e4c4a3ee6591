"""What the keeper tells in metrics, and when it looks at all cache pods for that."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes import EVERYTHING, Clock, FakeCluster, unasked
from samples import settings
from structlog.testing import capture_logs

from kip.cluster.event_recorder import EventRecorder
from kip.core.rights import Rights
from kip.core.rollout.plan_types import Plan
from kip.core.rollout.progress import Progress
from kip.core.status.matrix import Matrix
from kip.errors import Forbidden, Problem, ServerError, SettingsError
from kip.keeper.condition_events import ConditionEvents
from kip.keeper.reconcile import Outcome, Reconciler
from kip.keeper.reporter import ImageScan, Reporter
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState

WITHOUT_EVENTS = Rights()
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


class Recorded(Metrics):
    """Metrics that record the events with their arguments."""

    def __init__(self) -> None:
        self.events: list[tuple] = []

    def __getattribute__(self, name):
        if name in {"events", "of", "__class__"}:
            return object.__getattribute__(self, name)
        events = object.__getattribute__(self, "events")
        return lambda *given, **named: events.append((name, *given, *named.values()))

    def of(self, name: str) -> list[tuple]:
        return [event[1:] for event in self.events if event[0] == name]


class Scene:
    """A keeper's reconciler with what it tells."""

    def __init__(self, *, rights: Rights = EVERYTHING, served: bool = True) -> None:
        self.clock, self.metrics = Clock(), Recorded()
        self.cluster = FakeCluster(rights=rights)
        self.reconciler = Reconciler(self.cluster, lambda: NOW, self.clock, unasked(lambda: NOW))
        self.board = PageState(self.clock)
        allowed = rights if served else WITHOUT_EVENTS
        events = EventRecorder(self.cluster, lambda _: allowed, self.clock, "me")
        telling = ConditionEvents(events, self.board.note, lambda: None, lambda: NOW, self.clock)
        survey = ImageScan(
            self.metrics,
            self.board,
            telling,
            self.cluster,
            lambda _: rights,
            lambda: NOW,
            self.clock,
            served=served,
        )
        self.measures = Reporter(self.metrics, survey, telling, lambda: NOW, self.clock)

    def reconcile(self, images: str = "a=registry.example/a:1.0.0") -> float | None:
        return self.measures.done(self.reconciler.reconcile(settings(images)), None, 0.1)

    def outcome(self, progress: Progress, plan: Plan = Plan()) -> Outcome:  # noqa: B008 - frozen
        return Outcome(plan, progress, self.cluster.daemonset(), settings("a=registry.example/a:1.0.0"))

    def surveys(self) -> int:
        return self.cluster.calls.count("list pods")


def settled(**values) -> Scene:
    scene = Scene(**values)
    scene.reconcile()
    return scene


def test_a_created_cache_is_a_change_but_no_roll():
    assert settled().metrics.of("changed") == [("create", False, False)]


def test_an_edit_rolls():
    scene = settled()
    scene.reconcile("b=registry.example/b:1.0.0")
    assert scene.metrics.of("changed")[1:] == [("apply", True, False)]


def test_what_somebody_deleted_is_repaired():
    scene = settled()
    scene.cluster.objects.pop(("DaemonSet", "images", "kubernetes-image-puller"))
    with capture_logs():
        scene.reconcile()
    assert scene.metrics.of("changed")[1:] == [("create", False, True)]


def test_the_time_to_complete_begins_with_the_change():
    scene = settled()
    scene.clock.seconds = 7.0
    scene.reconcile()
    scene.reconcile()
    assert scene.metrics.of("completed") == [(7.0,)]


def test_a_cache_that_fills_is_not_complete():
    scene = settled()
    scene.measures.done(scene.outcome(Progress(3, 3, 2, current=True)), None, 0.1)
    assert (scene.metrics.of("counted")[-1][1], scene.metrics.of("completed")) == (False, [])


def test_a_failed_reconcile_is_told():
    scene = Scene()
    scene.measures.failed(ServerError("down"), 0.2)
    assert scene.metrics.events == [("reconcile_failed", 0.2)]


def test_settings_that_the_api_server_refuses_are_not_valid():
    scene = Scene()
    scene.measures.failed(SettingsError((Problem("AFFINITY", "x", "no", ""),)), 0.2)
    assert scene.metrics.of("settings_read") == [(False,)]


def test_the_last_good_settings_do_not_hide_the_newest():
    scene = settled()
    refusal = SettingsError((Problem("AFFINITY", "x", "no", ""),))
    outcome = replace(scene.outcome(Progress(3, 3, 3, current=True)), refusal=refusal)
    scene.measures.done(outcome, None, 0.1)
    assert scene.metrics.of("settings_read")[-1] == (False,)


def test_a_standby_tells_nothing_of_the_cache():
    scene = settled()
    scene.measures.stood_by()
    told = {event[0]: event[1:] for event in scene.metrics.events}
    assert (told["leads"], told["counted"], told["surveyed"]) == ((False,), (None, False), (None,))


def test_a_change_of_the_counts_is_surveyed_but_not_at_once_again():
    scene = settled()
    scene.measures.done(scene.outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    again = scene.measures.done(scene.outcome(Progress(3, 3, 2, current=True)), None, 0.1)
    assert (scene.surveys(), again) == (1, 5.0)


def test_what_was_put_off_is_surveyed_later():
    scene = settled()
    for seconds, ready in ((0.0, 1), (1.0, 2), (6.0, 2)):
        scene.clock.seconds = seconds
        scene.measures.done(scene.outcome(Progress(3, 3, ready, current=True)), None, 0.1)
    assert scene.surveys() == 2


def test_while_new_pods_come_up_the_images_are_looked_at_again_and_again(monkeypatch):
    scene = settled()
    rolls = Progress(3, 0, 3, current=True)
    whole = Matrix("images", "cache", 1, rolls, ("a", "b", "c"), (), images=())
    monkeypatch.setattr("kip.keeper.reporter.read_images", lambda *_, **__: whole)
    assert whole.complete
    assert scene.measures.done(scene.outcome(rolls), None, 0.1) == 5.0


@pytest.mark.parametrize("values", [{"rights": Rights()}, {"served": False}], ids=["rights", "served"])
def test_there_is_no_survey_that_nobody_may_make_or_sees(values):
    scene = Scene(**values)
    scene.cluster = settled().cluster
    scene.measures.survey.cluster = scene.cluster
    scene.measures.done(scene.outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    assert scene.surveys() == 0


def test_a_survey_that_fails_does_not_fail_the_reconcile():
    scene = settled()
    scene.cluster.failures["list pods"] = [Forbidden("no")]
    with capture_logs() as logs:
        scene.measures.done(scene.outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    assert ([line["event"] for line in logs], scene.metrics.of("surveyed")[-1]) == (
        ["survey_failed"],
        (None,),
    )


def test_a_survey_is_shown_on_the_board():
    assert surveyed().board.document()["matrix"]["cache"] == "images/kubernetes-image-puller"


def unknown(scene: Scene) -> str:
    document = scene.board.document()
    assert document["matrix"] is None
    return document["unknown"]


def surveyed() -> Scene:
    scene = settled()
    scene.measures.done(scene.outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    return scene


def test_the_board_of_a_standby_says_who_knows():
    scene = surveyed()
    scene.measures.stood_by()
    assert "another keeper holds the lease" in unknown(scene)


def test_the_board_says_which_right_is_missing():
    scene = Scene(rights=Rights())
    scene.measures.done(surveyed().outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    assert "grant get and list on pods in namespace images" in unknown(scene)


def test_the_board_says_that_pods_cannot_be_listed():
    scene = settled()
    scene.cluster.failures["list pods"] = [Forbidden("no")]
    with capture_logs():
        scene.measures.done(scene.outcome(Progress(3, 3, 1, current=True)), None, 0.1)
    assert unknown(scene) == "the cache pods cannot be listed: no"


def test_the_board_says_that_there_is_no_cache():
    scene = surveyed()
    outcome = replace(scene.outcome(Progress(3, 3, 1, current=True)), daemonset=None)
    scene.measures.done(outcome, None, 0.1)
    assert unknown(scene) == "there is no cache yet"
