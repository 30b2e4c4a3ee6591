"""A run of `kip pull` from beginning to end, on nodes of `pullworld`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from pullcluster import Book, PullCluster
from pullworld import BAD, HANGS, SHAPE, World

from kip.errors import Conflict, Forbidden, NotFound, ServerError, Unreachable
from kip.pulljob import runner as module
from kip.pulljob.planner import PodStart
from kip.pulljob.runner import Runner, RunResult
from kip.pulljob.spec import Labels, PullJob, short_hash

IMAGES = ("registry.example/a:1", "registry.example/b:1")
JOB = PullJob("job", "images", IMAGES, "0123456789", parallelism=2, backoff_limit=1)
NODES = ["node1", "node2", "node3"]
RIGHT = Forbidden('pods is forbidden: User "x" cannot create resource "pods"', status=403, reason="Forbidden")
QUOTA = Forbidden('pods "x" is forbidden: exceeded quota: small', status=403, reason="Forbidden")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(module, "backoff", lambda *_: 0.0)


def run(cluster: PullCluster, job: PullJob | None = None, told: Callable = lambda *_: None) -> RunResult:
    world = cluster.world

    def clock() -> float:
        return world.now.timestamp()

    return Runner(
        cluster, job or world.job, SHAPE, lambda: world.now, clock, Random(1), told, Book(world)
    ).run()


def faults(end: RunResult) -> dict[tuple[str, int], str]:
    return {
        (node, number): fault.reason
        for node, one in end.step.record.nodes.items()
        for number, fault in one.faults.items()
        if one.failed >> number & 1
    }


def test_every_image_comes_to_every_node_and_no_pod_stays():
    cluster = PullCluster(World(JOB, list(NODES)))
    end = run(cluster)
    assert (end.step.status.desired, end.step.status.succeeded) == (3, 3)
    assert end.step.status.message == "job has completed"
    assert (cluster.world.pods, len(cluster.world.there)) == ({}, 6)


def test_a_node_costs_two_requests_and_all_together_a_few_more():
    cluster = PullCluster(World(JOB, [f"node{number}" for number in range(200)]))
    run(cluster)
    assert len(cluster.calls) <= 2 * 200 + 20


def test_a_bad_image_costs_its_retries_and_hinders_no_other():
    world = World(JOB, list(NODES), {("node2", IMAGES[0]): BAD, ("node3", IMAGES[0]): HANGS})
    end = run(PullCluster(world), replace(JOB, timeout_seconds=5))
    assert faults(end) == {("node2", 0): "ErrImagePull", ("node3", 0): "PullTimeout"}
    assert ("node2", IMAGES[1]) in world.there
    assert ("node3", IMAGES[1]) in world.there
    assert end.step.record.of("node2").tries == {0: 2}
    world.tick()
    assert world.pods == {}


def test_names_that_are_no_nodes_are_failures():
    end = run(PullCluster(World(JOB, list(NODES))), replace(JOB, node_names=("node1", "nowhere")))
    assert faults(end) == {("nowhere", 0): "NodeNotFound", ("nowhere", 1): "NodeNotFound"}
    assert (end.step.status.desired, end.step.status.succeeded) == (2, 1)


def test_no_matching_node_is_said():
    end = run(PullCluster(World(JOB, list(NODES))), replace(JOB, node_labels=Labels({"pool": "none"})))
    assert (end.step.status.desired, end.step.status.message) == (0, "no node matches")


def test_nodes_need_not_be_listed_when_they_are_named():
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {"get nodes": [RIGHT] * 99}
    assert run(cluster, replace(JOB, node_names=("node1",))).step.status.succeeded == 1


def test_nodes_that_have_to_be_listed_and_may_not_are_an_error_with_a_way_out():
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {"list nodes": [RIGHT]}
    with pytest.raises(Forbidden) as raised:
        run(cluster)
    assert "--print-rbac" in raised.value.hint


@pytest.mark.parametrize("call", ["dry-run pods", "create pods"])
@pytest.mark.parametrize("error", [RIGHT, NotFound('namespaces "images" not found')])
def test_a_missing_right_or_namespace_ends_it_at_once(error, call):
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {call: [error]}
    with pytest.raises(type(error)):
        run(cluster)
    assert cluster.world.pods == {}


def test_a_quota_is_waited_for_while_other_pods_of_the_job_may_give_room():
    cluster = PullCluster(World(JOB, list(NODES)))
    create = cluster.create

    def tight(resource, namespace, pod, **options):
        if cluster.world.pods:
            raise QUOTA
        return create(resource, namespace, pod, **options)

    cluster.create = tight
    assert run(cluster).step.status.succeeded == 3


def test_a_quota_without_room_for_one_pod_is_told_for_each_node():
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {"create pods": [QUOTA] * 999}
    end = run(cluster)
    assert set(faults(end).values()) == {"Forbidden"}
    assert "exceeded quota" in end.step.record.of("node1").faults[0].message


@pytest.mark.parametrize("error", [Unreachable("no answer"), ServerError("500")])
def test_trouble_of_the_api_server_costs_no_attempt(error):
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {"create pods": [error] * 30, "delete pods": [error] * 5}
    end = run(cluster)
    assert end.step.status.succeeded == 3
    assert {one.lost for one in end.step.record.nodes.values()} == {0}
    assert cluster.world.pods == {}


def test_a_pod_whose_creation_was_answered_too_late_is_found():
    cluster = PullCluster(World(JOB, list(NODES)))
    create, first = cluster.create, []

    def late(resource, namespace, pod, **options):
        answer = create(resource, namespace, pod, **options)
        if not first and not options:
            first.append(answer)
            raise Conflict("there already")
        return answer

    cluster.create = late
    assert run(cluster).step.status.succeeded == 3
    assert cluster.world.pods == {}


def test_a_stopped_run_removes_its_pods():
    world = World(replace(JOB, keep_seconds=3600), list(NODES), {("node3", IMAGES[0]): HANGS})
    cluster = PullCluster(world)

    def clock() -> float:
        return world.now.timestamp()

    runner = Runner(
        cluster,
        world.job,
        SHAPE,
        lambda: world.now,
        clock,
        Random(1),
        lambda *_: None,
        Book(world),
    )
    runner.told = lambda _, step: step.status.succeeded == 2 and runner.stop()
    end = runner.run()
    world.tick()
    assert (end.stopped, end.step.status.succeeded, world.pods) == (True, 2, {})


def test_pods_that_hold_their_images_stay_and_the_others_go():
    world = World(replace(JOB, keep_seconds=3600), list(NODES), {("node2", IMAGES[0]): BAD})
    run(PullCluster(world))
    world.tick()
    left = sorted((pod["spec"]["nodeName"], pod["status"]["phase"]) for pod in world.pods.values())
    assert left == [("node1", "Running")] * 2 + [("node2", "Running")] + [("node3", "Running")] * 2


def test_parallelism_0_starts_nothing_and_ends_at_once():
    cluster = PullCluster(World(JOB, list(NODES)))
    end = run(cluster, replace(JOB, parallelism=0))
    assert end.step.status.message == "job is paused: parallelism is 0"
    assert "create pods" not in cluster.calls


def test_pods_of_a_driver_that_was_killed_long_ago_go_also_those_of_other_jobs():
    other = World(replace(JOB, key="other00000", name="other"), ["node9"])
    run_once = PullCluster(other)
    end = run(run_once)
    assert end.step.status.succeeded == 1
    world = World(JOB, list(NODES))

    other.create(PodStart("node9", 1, (0,)))
    world.pods |= other.pods
    world.tick(10_000)
    world.nodes.append("node9")
    run(PullCluster(world), replace(JOB, node_names=("node1",)))
    assert world.pods == {}


def test_what_a_killed_run_had_done_is_found_but_not_with_pull_policy_always():
    for policy, asked in (("IfNotPresent", 0), ("Always", 3)):
        job = replace(JOB, pull_policy=policy)
        world = World(job, list(NODES))

        for name in NODES:
            world.create(PodStart(name, 1, (0, 1)))
        for _ in range(3):
            world.tick()
        cluster = PullCluster(world)
        assert run(cluster, job).step.status.succeeded == 3
        assert cluster.calls.count("create pods") == asked


def test_events_tell_how_long_and_how_much():
    world = World(replace(JOB, images=IMAGES[:1]), ["node1", "node2"])
    about = {"kind": "Pod", "fieldPath": "spec.containers{image-" + short_hash(IMAGES[0]) + "}"}
    said = {
        "uid-0": f'Successfully pulled image "{IMAGES[0]}" in 1m2.5s (1m3s in all). Image size: 1234 bytes.',
        "uid-1": f'Container image "{IMAGES[0]}" already present on machine',
        "uid of a pod of the run before": f'Successfully pulled image "{IMAGES[0]}" in 5s (5s in all).',
    }
    events = tuple(
        {
            "involvedObject": {**about, "uid": uid},
            "reason": "Pulled",
            "message": message,
        }
        for uid, message in said.items()
    )
    record = run(PullCluster(world, events=events)).step.record
    one, two = (record.of(node).pulls[0] for node in ("node1", "node2"))
    assert (one.seconds, one.size, one.there) == (62.5, 1234, False)
    assert (two.seconds, two.size, two.there) == (None, None, True)


def test_a_pod_that_could_not_be_set_up_is_told_in_the_kubelets_words():
    world = World(replace(JOB, images=IMAGES[:1], backoff_limit=0), ["node1"], {("node1", IMAGES[0]): HANGS})
    event = {
        "involvedObject": {"uid": "uid-0"},
        "reason": "FailedCreatePodSandBox",
        "message": "no network plugin",
        "lastTimestamp": "2026-11-21T08:00:05Z",
    }
    job = replace(world.job, timeout_seconds=5)
    record = run(PullCluster(world, events=(event,)), job).step.record
    assert record.of("node1").faults[0].message == (
        "not pulled within 5 s; FailedCreatePodSandBox: no network plugin"
    )


def test_what_was_in_the_way_of_a_pod_before_it_was_set_up_is_not_blamed():
    world = World(replace(JOB, images=IMAGES[:1], backoff_limit=0), ["node1"], {("node1", IMAGES[0]): HANGS})
    about = {"involvedObject": {"uid": "uid-0", "fieldPath": "spec.initContainers{copy}"}}
    events = (
        {**about, "reason": "Pulled", "message": "", "lastTimestamp": "2026-11-21T08:00:06Z"},
        {**about, "reason": "FailedMount", "message": "late", "lastTimestamp": "2026-11-21T08:00:05Z"},
    )
    record = run(PullCluster(world, events=events), replace(world.job, timeout_seconds=5)).step.record
    assert record.of("node1").faults[0].message == "not pulled within 5 s"


def test_a_clock_that_goes_wrong_here_costs_nothing():
    world = World(replace(JOB, timeout_seconds=60, deadline_seconds=600), list(NODES))
    cluster = PullCluster(world)
    cluster.ahead = -timedelta(hours=1)

    def fast() -> datetime:
        return world.now + timedelta(hours=1)

    runner = Runner(
        cluster, world.job, SHAPE, fast, world.now.timestamp, Random(1), lambda *_: None, Book(world)
    )
    end = runner.run()
    assert end.step.status.succeeded == 3
    assert {one.lost for one in end.step.record.nodes.values()} == {0}


def test_without_the_right_to_events_nothing_else_is_missing():
    cluster = PullCluster(World(JOB, list(NODES)))
    cluster.failures = {"list events": [RIGHT]}
    assert run(cluster).step.status.succeeded == 3
