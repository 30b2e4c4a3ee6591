"""Single steps: what a job does in each situation. What holds for all stands in test_step_properties.py."""

import base64
import gzip
import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from pullworld import BAD, BEGIN, HANGS, World

from kip.pulljob.planner import JobPlan, leftover_pods, plan_job
from kip.pulljob.pod_view import PullFailure
from kip.pulljob.record import NodeRecord, Record, carried, new_record
from kip.pulljob.record_text import RecordUnreadable, from_text, to_text
from kip.pulljob.spec import PullJob
from kip.pulljob.status import PullState, cells
from kip.pulljob.targets import TargetNode, Targets

IMAGES = tuple(f"registry.example/app{number}:1" for number in range(12))
JOB = PullJob("job", "images", IMAGES[:1], "0123456789", parallelism=2, backoff_limit=1)


def run(world: World, record: Record | None = None, *, seconds: int = 60) -> JobPlan:
    """Step and tick until the job is over, or so long."""
    record = record or new_record(world.job, world.now)
    for _ in range(seconds):
        done = plan_job(world.job, world.targets(), world.views(), record, world.now)
        record = done.record
        world.do(done)
        if record.finished:
            return done
        world.tick()
    return done


def first(job: PullJob, *nodes: TargetNode, **options) -> JobPlan:
    return plan_job(job, Targets(nodes), (), new_record(job, BEGIN), BEGIN, **options)


def reasons(done: JobPlan) -> dict[str, str]:
    return {name: one.faults[0].reason for name, one in done.record.nodes.items() if one.failed}


# Starting.


def test_no_more_nodes_start_than_parallelism_allows():
    done = first(JOB, *map(TargetNode, "abc"))
    assert [start.node for start in done.starts] == ["a", "b"]
    assert (done.status.desired, done.status.active, done.status.message) == (
        3,
        2,
        "job is running, no progress",
    )


def test_nor_than_the_shared_budget_allows():
    assert len(first(JOB, *map(TargetNode, "abc"), budget=1).starts) == 1
    assert first(JOB, *map(TargetNode, "abc"), budget=-1).starts == ()


def test_parallelism_0_pauses_what_is_not_begun():
    done = first(replace(JOB, parallelism=0), TargetNode("a"))
    assert (done.starts, done.record.finished) == ((), None)
    assert done.status.message == "job is paused: parallelism is 0"


def test_a_list_shares_pods_and_an_image_that_failed_gets_its_own():
    world = World(replace(JOB, images=IMAGES), ["a"], {("a", IMAGES[1]): BAD})
    run(world)
    assert [len(start.images) for start in world.started] == [10, 2, 1]
    assert world.started[-1].images == (1,)


def test_an_image_that_hangs_holds_up_the_others_once():
    job = replace(JOB, images=IMAGES[:3], timeout_seconds=5)
    world = World(job, ["a"], {("a", IMAGES[0]): HANGS})
    done = run(world)
    assert [start.images for start in world.started] == [(0, 1, 2), (1, 2), (0,)]
    assert (done.record.of("a").pulled, done.record.of("a").faults[0].reason) == (0b110, "PullTimeout")


def test_nodes_that_were_never_tried_come_before_those_in_trouble():
    world = World(replace(JOB, parallelism=1), ["a", "b", "c"], {("a", IMAGES[0]): BAD})
    run(world)
    assert [start.node for start in world.started] == ["a", "b", "c", "a"] or world.started[-1].node == "a"
    assert [start.node for start in world.started].count("a") == 2


# Nodes.


def test_a_node_that_is_silent_is_waited_for_and_given_up_after_ten_minutes():
    away = TargetNode("a", BEGIN - timedelta(seconds=300))
    done = first(JOB, away)
    assert (done.starts, done.record.finished, done.next_at) == ((), None, BEGIN + timedelta(seconds=300))
    later = plan_job(JOB, Targets((away,)), (), done.record, BEGIN + timedelta(seconds=300))
    assert (reasons(later), bool(later.record.finished)) == ({"a": "NodeNotReady"}, True)


def test_a_node_that_dies_frees_its_place_and_is_asked_again_when_it_is_back():
    world = World(replace(JOB, parallelism=1), ["a", "b"], {("a", IMAGES[0]): HANGS})
    record = run(world, seconds=2).record
    world.silence("a")
    done = run(world, record, seconds=4)
    assert done.record.of("b").pulled == 1
    world.down.clear()
    world.fate.clear()
    done = run(world, done.record)
    assert (done.status.succeeded, done.record.of("a").tries) == (2, {})


def test_a_pod_that_is_deleted_or_evicted_is_made_again_and_costs_no_attempt():
    for harm in ("delete", "evict"):
        world = World(replace(JOB, backoff_limit=0), ["a"], {("a", IMAGES[0]): HANGS})
        record = run(world, seconds=2).record
        getattr(world, harm)(next(iter(world.pods)))
        world.fate.clear()
        done = run(world, record)
        assert (done.status.succeeded, done.record.of("a").lost) == (1, 1)


def test_pods_that_go_away_again_and_again_are_told():
    world = World(JOB, ["a"], {("a", IMAGES[0]): HANGS})
    record = new_record(JOB, world.now)
    for _ in range(60):
        done = plan_job(JOB, world.targets(), world.views(), record, world.now)
        record = done.record
        world.do(done)
        world.pods.clear()
        world.tick()
    assert reasons(done) == {"a": "PodLost"}


def test_a_full_node_tells_its_own_reason_after_its_retries():
    world = World(JOB, ["a"])
    record = new_record(JOB, world.now)
    for _ in range(60):
        done = plan_job(JOB, world.targets(), world.views(), record, world.now)
        record = done.record
        world.do(done)
        for pod in world.pods.values():
            pod["status"] = {
                "phase": "Failed",
                "reason": "OutOfpods",
                "message": "Node didn't have enough resource",
            }
        world.tick()
    assert reasons(done) == {"a": "OutOfpods"}
    assert len(world.started) == 2


def test_a_kubelet_that_never_takes_up_the_pod_is_called_silent_and_not_tried_again():
    world = World(replace(JOB, timeout_seconds=10), ["a"])
    begun = first(world.job, TargetNode("a"))
    world.do(begun)
    world.silence("a")
    for _ in range(12):
        world.tick()
    done = plan_job(world.job, Targets((TargetNode("a"),)), world.views(), begun.record, world.now)
    assert (reasons(done), len(done.removals)) == ({"a": "KubeletSilent"}, 1)


def test_a_node_that_is_meant_no_more_loses_its_pod_and_counts_no_more():
    world = World(JOB, ["a", "b"], {("b", IMAGES[0]): HANGS})
    record = run(world, seconds=3).record
    done = plan_job(JOB, Targets((TargetNode("a"),)), world.views(), record, world.now)
    assert (done.status.desired, done.status.succeeded, len(done.removals)) == (1, 1, 1)


# Ending.


def test_the_deadline_fails_what_is_not_there_and_removes_its_pods():
    world = World(replace(JOB, deadline_seconds=10), ["a", "b"], {("b", IMAGES[0]): HANGS})
    done = run(world)
    assert (reasons(done), len(done.removals)) == ({"b": "DeadlineExceeded"}, 1)
    assert (done.status.message, done.status.succeeded) == ("job exceeds activeDeadlineSeconds", 1)
    assert done.record.finished == BEGIN + timedelta(seconds=10)


def test_the_last_word_of_the_kubelet_is_kept_with_the_deadline():
    world = World(replace(JOB, deadline_seconds=8, backoff_limit=9), ["a"], {("a", IMAGES[0]): BAD})
    assert "before: ErrImagePull" in run(world).record.of("a").faults[0].message


def test_a_ttl_lets_the_job_expire_also_at_once():
    world = World(replace(JOB, ttl_seconds=0), ["a"])
    assert run(world).expired
    world = World(replace(JOB, ttl_seconds=30), ["a"])
    done = run(world)
    finished = done.record.finished
    assert (done.expired, done.next_at) == (False, finished + timedelta(seconds=30))
    later = plan_job(world.job, world.targets(), (), done.record, finished + timedelta(seconds=30))
    assert (later.expired, later.record) == (True, done.record)


def test_a_job_without_nodes_says_so_and_is_over():
    done = first(JOB)
    assert (done.status.desired, done.status.message, bool(done.record.finished)) == (
        0,
        "no node matches",
        True,
    )


def test_a_job_that_is_over_counts_the_nodes_that_it_had():
    world = World(JOB, ["a", "b"], {("b", IMAGES[0]): BAD})
    done = run(world)
    world.nodes.append("c")
    later = plan_job(JOB, world.targets(), world.views(), done.record, world.now)
    assert (later.status.desired, later.status.failed_nodes, later.starts) == (2, ("b",), ())


def test_completion_policy_never_takes_new_nodes_and_looks_again_daily():
    world = World(replace(JOB, forever=True), ["a"])
    record = run(world, seconds=10).record
    world.nodes.append("b")
    done = run(world, record, seconds=10)
    assert (done.status.succeeded, done.record.finished) == (2, None)
    assert timedelta(hours=23.8) < done.next_at - world.now < timedelta(hours=24.2)
    world.tick(24 * 3600 + 700)
    done = run(world, done.record, seconds=10)
    assert ([start.node for start in world.started], done.status.succeeded) == (["a", "b", "a", "b"], 2)
    assert len(world.pulls) == 2


def test_pods_of_drivers_that_are_gone_are_found_by_their_age():
    world = World(JOB, ["a"], {("a", IMAGES[0]): HANGS})
    run(world, seconds=1)
    views = world.views()
    limit = views[0].expires
    assert leftover_pods(views, limit) == ()
    assert len(leftover_pods(views, limit + timedelta(seconds=1))) == 1


# The record.


def test_an_edit_of_the_images_keeps_what_is_pulled_and_still_wanted():
    world = World(replace(JOB, images=IMAGES[:3]), ["a"], {("a", IMAGES[2]): BAD})
    before = run(world).record
    edited = replace(JOB, images=(IMAGES[5], IMAGES[1], IMAGES[2]))
    kept = carried(before, edited, world.now).of("a")
    assert (kept.pulled, kept.failed, kept.tries) == (0b010, 0, {})
    assert kept.started == before.of("a").started


def test_a_record_survives_being_written_down_but_for_single_pulls():
    record = Record(
        IMAGES,
        BEGIN,
        BEGIN + timedelta(seconds=1),
        "job has completed",
        {
            "a": NodeRecord(
                3, 2, 1, 0b101, 0b010, BEGIN, BEGIN, {1: 2}, {1: PullFailure("ErrImagePull", "not found")}
            )
        },
        {0: ("sha256:1", "sha256:2")},
    )
    assert from_text(to_text(record)) == record
    assert to_text(record) == to_text(record)


def test_a_record_of_5000_nodes_fits_into_an_object():
    nodes = {
        f"ip-10-0-{number // 250}-{number % 250}.eu-central-1.compute.internal": NodeRecord(
            2, 2, 0, (1 << 255) - 2, 1, BEGIN + timedelta(seconds=number), BEGIN, {0: 4},
            {0: PullFailure("ErrImagePull", f"dial tcp 10.0.0.{number}: i/o timeout" + "x" * 400)},
        )
        for number in range(5000)
    }  # fmt: skip
    assert len(to_text(Record(IMAGES, BEGIN, nodes=nodes))) < 200_000


def test_a_record_of_5000_nodes_that_each_got_others_of_255_images_fits_into_an_object():
    dice, everything = Random(1), (1 << 255) - 1
    faults = [PullFailure("ErrImagePull", f"image {number}: not found") for number in range(255)]

    def one(number: int) -> NodeRecord:
        pulled = dice.getrandbits(255)
        failed = dice.getrandbits(255) & ~pulled
        tried = 0 if number % 10 else everything & ~(pulled | failed)
        tries = {place: dice.randint(1, 3) for place in range(255) if tried >> place & 1}
        left = {place: faults[place] for place in range(255) if (failed | tried) >> place & 1}
        return NodeRecord(9, 8, 0, pulled, failed, BEGIN + timedelta(seconds=number), BEGIN, tries, left)

    nodes = {f"ip-10-0-{number}.eu-central-1.compute.internal": one(number) for number in range(5000)}
    record = Record(tuple(f"registry.example/{number}:1" for number in range(255)), BEGIN, nodes=nodes)
    text = to_text(record)
    assert from_text(text) == record
    assert len(text) < 800_000


def written(**changes: object) -> str:
    """Return a record whose document was changed by hand."""
    document = json.loads(gzip.decompress(base64.b64decode(to_text(Record(IMAGES, BEGIN)))))
    return base64.b64encode(gzip.compress(json.dumps({**document, **changes}).encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xx",
        "AAAA",
        to_text(Record((), BEGIN))[:-8],
        written(form=9),
        written(nodes=[]),
        written(nodes={"a": [1]}),
        written(nodes={"a": ["x", 0, 0, "0", "0", None, None, {}, "", {}]}),
        written(nodes={"a": [1, 0, 0, "f" * 99, "0", None, None, {}, "", {}]}),
        written(nodes={"a": [1, 0, 0, "0", "0", None, None, {}, "", {"7": "1"}]}),
        written(nodes={"a": [1, 0, 0, "0", "1", None, None, {}, "", {}]}),
        written(started=1e99),
        written(digests=["x"]),
        written(digests={"99": ["sha256:1"]}),
        written(nodes={"a": [1, 0, 0, "1000", "0", None, None, {}, "", {}]}),
        base64.b64encode(gzip.compress(b"[" * 100_000)).decode(),
    ],
)
def test_what_is_no_record_is_said_to_be_none(text):
    with pytest.raises(RecordUnreadable):
        from_text(text)


def test_cells_tell_of_each_image_on_each_node():
    world = World(JOB, ["a", "b", "c"], {("b", IMAGES[0]): BAD})
    done = run(world)
    found = {cell.node: cell for cell in cells(JOB, world.targets(), done.record)}
    assert {node: cell.state for node, cell in found.items()} == {
        "a": PullState.PULLED,
        "b": PullState.FAILED,
        "c": PullState.PULLED,
    }
    assert found["a"].pull.digest.startswith("registry.example/x@sha256:")
    assert found["b"].fault == PullFailure("ErrImagePull", f"{IMAGES[0]}: not found")


def test_a_step_over_5000_nodes_is_cheap():
    targets = Targets(tuple(TargetNode(f"node{number}") for number in range(5000)))
    pulled = NodeRecord(1, 1, pulled=1)
    nodes = {f"node{number}": pulled for number in range(4000)}
    done = plan_job(JOB, targets, (), replace(new_record(JOB, BEGIN), nodes=nodes), BEGIN)
    assert (len(done.starts), done.status.succeeded) == (2, 4000)


def test_a_record_that_unfolds_without_end_is_refused():
    bomb = base64.b64encode(gzip.compress(b" " * 2**26)).decode()
    with pytest.raises(RecordUnreadable, match="larger"):
        from_text(bomb)
