"""What is told to people, how often, and in which form."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import EVERYTHING, Clock, FakeCluster
from samples import COMPLETE, manifest, settings, stored
from structlog.testing import capture_logs

from kip.cluster.event_recorder import BURST, REFILL_SECONDS, RESERVE, EventRecorder
from kip.core.rights import Rights
from kip.core.rollout.plan_types import Action, Plan, PlannedStep, Target
from kip.core.rollout.progress import Progress, read_progress
from kip.core.status import notifications as notices_module
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.notifications import REASONS
from kip.errors import Forbidden, OwnershipError, Problem, ServerError, SettingsError, TooManyRequests
from kip.keeper import condition_events as telling_module
from kip.keeper.condition_events import (
    NEWS_SECONDS,
    REMIND_SECONDS,
    STEADY_SECONDS,
    TURN_SECONDS,
    ConditionEvents,
)
from kip.keeper.reconcile import Outcome
from kip.keeper.settings_source import SettingsSource

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CACHE = stored(manifest()) | {"kind": "DaemonSet", "status": COMPLETE}
BAD = SettingsError((Problem("IMAGES", "=", "is no image", "Write one"),))


class Scene:
    """A keeper that tells, and what was told: Events in the cluster, notices to the page."""

    def __init__(self, *, rights: Rights = EVERYTHING, home: dict | None = None) -> None:
        self.clock, self.cluster, self.notices = Clock(), FakeCluster(rights=rights), []
        events = EventRecorder(self.cluster, lambda _: rights, self.clock, "kip-0")
        self.telling = ConditionEvents(events, self.notices.append, lambda: home, self.now, self.clock)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.clock.seconds)

    @property
    def events(self) -> list[dict]:
        self.telling.events.send_waiting()
        return [found for (kind, *_), found in self.cluster.objects.items() if kind == "Event"]

    @property
    def reasons(self) -> list[str]:
        return [notice.reason for notice in self.notices]

    def survey(self, *states: ImageState, after: float = 0.0, message: str = "not found") -> None:
        self.clock.seconds += after
        cells = tuple(
            Cell(
                f"n{number}",
                "ide",
                "ide:1",
                state,
                *(("ErrImagePull", message) if state is ImageState.FAILED else ()),
            )
            for number, state in enumerate(states)
        )
        nodes = tuple(cell.node for cell in cells)
        progress = Progress(len(nodes), len(nodes), 0, current=True)
        self.telling.surveyed(Matrix("images", "cache", 1, progress, nodes, cells))


def settled(**values) -> Scene:
    """Return a scene whose keeper has found its cache complete."""
    scene = Scene(**values)
    scene.telling.done(outcome())
    return scene


def outcome(*steps: PlannedStep, status: dict | None = None, **values) -> Outcome:
    found = CACHE | {"status": status or COMPLETE}
    return Outcome(Plan(steps), read_progress(found), found, settings(), **values)


def change(reason: str = "image ide is missing") -> PlannedStep:
    return PlannedStep.on(Target(CACHE, CACHE), Action.APPLY, (reason,))


FAILED, CACHED, PULLING = ImageState.FAILED, ImageState.CACHED, ImageState.PULLING


def test_a_failing_image_is_told_as_an_event_on_the_cache():
    scene = settled()
    scene.survey(CACHED, FAILED)
    (event,) = scene.events
    shown = {key: event[key] for key in ("type", "reason", "note", "eventTime", "reportingController")}
    assert (shown, event["regarding"]["kind"], event["regarding"]["uid"]) == (
        {
            "type": "Warning",
            "reason": "ImageFailed",
            "note": "ide on n1: ErrImagePull: not found. Correct the reference in IMAGES, or push the image.",
            "eventTime": "2026-11-21T08:00:00.000000Z",
            "reportingController": "kip.dev/keeper",
        },
        "DaemonSet",
        CACHE["metadata"]["uid"],
    )


def test_what_lasts_is_told_once():
    scene = settled()
    for _ in range(9):
        scene.survey(CACHED, FAILED, after=60)
        assert scene.events
    assert scene.reasons == ["ImageFailed"]


def test_what_lasts_long_is_one_event_whose_series_counts():
    scene = settled()
    for _ in range(3):
        scene.survey(CACHED, FAILED, after=REMIND_SECONDS)
        scene.telling.events.send_waiting()
    (event,) = scene.events
    assert event["series"] == {"count": 3, "lastObservedTime": "2026-11-21T09:30:00.000000Z"}


def test_what_has_changed_meanwhile_is_told_anew():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.survey(FAILED, FAILED, after=NEWS_SECONDS)
    assert [event["note"].split(". ")[0] for event in scene.events] == [
        "ide on n1: ErrImagePull: not found",
        "ide on n0, n1: ErrImagePull: not found",
    ]


def test_another_remedy_is_soon_told():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.survey(CACHED, FAILED, after=TURN_SECONDS, message="unauthorized")
    assert [event["note"].split(". ")[0] for event in scene.events] == [
        "ide on n1: ErrImagePull: not found",
        "ide on n1: ErrImagePull: unauthorized",
    ]


def test_what_turns_again_and_again_is_told_less_and_less():
    scene = settled()
    for number in range(120):
        scene.survey(CACHED, FAILED, after=TURN_SECONDS, message=("not found", "unauthorized")[number % 2])
    assert len(scene.notices) < 12


def test_words_that_take_turns_while_it_lasts_are_no_news():
    scene = settled()
    for number in range(300):
        words = ("not found", 'Back-off pulling image "ide:1": ErrImagePull: not found')[number % 2]
        scene.survey(CACHED, FAILED, after=60, message=words)
    assert len(scene.notices) == 1


def test_a_trouble_that_is_away_for_a_moment_is_not_over():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.survey(CACHED, PULLING, after=2)
    scene.survey(CACHED, FAILED, after=2)
    assert scene.reasons == ["ImageFailed"]


def test_a_trouble_that_stays_away_is_over():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.survey(CACHED, PULLING, after=2)
    scene.survey(CACHED, PULLING, after=STEADY_SECONDS)
    assert scene.reasons == ["ImageFailed", "ImageRecovered"]


def test_nothing_is_over_because_nobody_knows():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.telling.surveyed(None)
    assert scene.reasons == ["ImageFailed"]


def test_a_change_is_told_with_its_reasons_and_its_end_with_its_duration():
    scene = settled()
    scene.telling.done(outcome(change()))
    scene.clock.seconds += 42
    scene.telling.done(outcome())
    assert [(notice.reason, notice.note, notice.warning) for notice in scene.notices] == [
        ("CacheChanged", "image ide is missing", False),
        ("CacheComplete", "2 images are on 3 nodes, after 42 s", False),
    ]


def test_drift_is_told_as_restored():
    scene = settled()
    scene.telling.done(outcome(change(), repaired=True))
    assert scene.reasons == ["CacheRestored"]


def test_the_steps_between_are_not_told():
    scene = settled()
    scene.telling.done(outcome(PlannedStep.on(Target(CACHE, CACHE), Action.SPREAD, ("x",))))
    assert scene.reasons == []


def test_a_cache_that_was_complete_all_the_time_is_no_news():
    assert settled().reasons == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BAD, "SettingsRefused"),
        (OwnershipError("not ours"), "ForeignDaemonSet"),
        (Forbidden("no right"), "ReconcileFailed"),
    ],
)
def test_a_failure_that_lasts_is_told(error, reason):
    scene = settled()
    scene.telling.failed(error)
    assert scene.reasons == [reason]


def test_trouble_of_the_api_server_is_retried_and_not_told():
    scene = settled()
    scene.telling.failed(ServerError("down"))
    assert scene.reasons == []


def test_the_end_of_a_failure_is_told():
    scene = settled()
    scene.telling.failed(Forbidden("no right"))
    scene.telling.done(outcome())
    assert scene.reasons == ["ReconcileFailed", "ReconcileSucceeded"]


def test_refused_entries_are_told_each():
    scene = settled()
    scene.telling.done(outcome(left_out=("image a is refused", "image b is refused")))
    assert scene.reasons == ["EntryRefused", "EntryRefused"]


def test_without_a_cache_the_deployment_has_the_events():
    home = {"kind": "Deployment", "metadata": {"name": "kip", "namespace": "images", "uid": "u"}}
    scene = Scene(home=home)
    scene.telling.failed(BAD)
    assert [event["regarding"]["kind"] for event in scene.events] == ["Deployment"]


def test_without_the_right_there_are_no_events_but_notices():
    scene = settled(rights=Rights())
    scene.survey(CACHED, FAILED)
    assert (scene.events, scene.reasons) == ([], ["ImageFailed"])


def test_a_standby_tells_once_what_it_knows_of_the_settings():
    scene = Scene()
    settings = SettingsSource(FakeCluster(), {"IMAGES": "a=registry.example/a:1;b=no image"}, "images")
    with capture_logs():
        settings.refresh()
    for _ in range(9):
        scene.telling.settings_read(settings)
        scene.telling.stood_by()
    assert scene.reasons == ["EntryRefused"]


def test_reasons_that_a_crash_has_by_turns_are_one_trouble():
    scene = settled()
    for reason in ("RunContainerError", "StartError", "CrashLoopBackOff", "RunContainerError"):
        cell = Cell("n0", "ide", "ide:1", FAILED, reason, "no memory")
        scene.clock.seconds += 10
        progress = Progress(1, 1, 0, current=True)
        scene.telling.surveyed(Matrix("images", "cache", 1, progress, ("n0",), (cell,)))
    assert scene.reasons == ["ImageFailed"]


def test_a_standby_forgets_what_was_told():
    scene = settled()
    scene.survey(CACHED, FAILED)
    scene.telling.stood_by()
    scene.survey(CACHED, FAILED)
    assert scene.reasons == ["ImageFailed", "ImageFailed"]


def test_a_refused_event_is_said_once_in_the_log_and_stops_nothing():
    scene = settled()
    scene.cluster.failures["create events"] = [Forbidden("no"), Forbidden("no")]
    with capture_logs() as lines:
        scene.survey(FAILED)
        scene.telling.failed(BAD)
        assert scene.events == []
    assert [line["event"] for line in lines] == ["event_not_written"]


def test_events_come_no_faster_than_their_budget():
    scene = settled()
    scene.telling.done(outcome(left_out=tuple(f"image {number}" for number in range(60))))
    first = len(scene.events)
    scene.clock.seconds += 3 * REFILL_SECONDS
    scene.telling.done(outcome(left_out=tuple(f"image {number}" for number in range(60))))
    assert (first, len(scene.events), len(scene.notices)) == (BURST, BURST + 3, 60)


def test_news_leave_a_reserve_for_warnings():
    scene = settled()
    for _ in range(60):
        scene.telling.done(outcome(change()))
    scene.survey(FAILED)
    reasons = Counter(event["reason"] for event in scene.events)
    assert (reasons["CacheChanged"], reasons["ImageFailed"]) == (BURST - RESERVE, 1)


def test_an_event_that_the_api_server_did_not_take_is_sent_again():
    scene = settled()
    scene.cluster.failures["create events"] = [ServerError("down")]
    with capture_logs():
        scene.survey(FAILED)
        before = scene.events
        scene.survey(FAILED, after=5)
    assert (before, [event["reason"] for event in scene.events]) == ([], ["ImageFailed"])


def test_while_the_api_server_asks_for_patience_no_event_is_sent():
    scene = settled()
    scene.cluster.failures["create events"] = [TooManyRequests("busy", retry_after=30.0)]
    scene.survey(FAILED)
    scene.telling.failed(BAD)
    with capture_logs():
        assert scene.events == []
    scene.survey(FAILED, after=31)
    assert [event["reason"] for event in scene.events] == ["ImageFailed"]


def test_nothing_is_sent_by_the_loop_itself():
    scene = settled()
    scene.survey(FAILED)
    assert "create events" not in scene.cluster.calls


def test_other_bad_settings_are_told_at_once():
    scene = settled()
    scene.telling.failed(BAD)
    scene.telling.failed(SettingsError((Problem("REFRESH", "x", "is no word", "Write auto"),)))
    assert scene.reasons == ["SettingsRefused", "SettingsRefused"]


def test_a_node_that_comes_makes_no_news_of_the_caches_completion():
    scene = settled()
    scene.telling.done(outcome(status=COMPLETE | {"numberReady": 2}))
    scene.telling.done(outcome())
    assert scene.reasons == []


def test_a_cache_that_is_found_incomplete_becomes_complete():
    scene = Scene()
    scene.telling.done(outcome(status=COMPLETE | {"numberReady": 2}))
    scene.telling.done(outcome())
    assert scene.reasons == ["CacheComplete"]


def test_a_note_is_never_too_long_for_the_api_server():
    scene = settled()
    scene.survey(FAILED, message="ü" * 2000)
    (event,) = scene.events
    assert (len(event["note"].encode()) <= 1024, event["note"].endswith("...")) == (True, True)


def test_every_reason_is_described():
    source = Path(telling_module.__file__).read_text("utf-8") + Path(notices_module.__file__).read_text(
        "utf-8"
    )
    described = set(REASONS)
    told = set(re.findall(r'"((?:Image|Node|Cache|Settings|Entry|Foreign|Reconcile)[A-Z][a-zA-Z]+)"', source))
    assert told == described
