"""Jobs that end, or are ended: what is told, what is left, and what one that fares ill does to the others."""

from dataclasses import replace
from datetime import timedelta

import pytest
from jobworld import NAMESPACE, JobsCluster, Keeper, Place
from pullworld import BAD, HANGS

from kip.cluster.api import CONFIGMAPS, CRDS
from kip.core.status.jobs_view import Phase
from kip.errors import Forbidden, Invalid, Unreachable
from kip.pulljob.record import Record
from kip.pulljob.record_text import to_text

IMAGE, OTHER = "registry.example/a:1", "registry.example/b:1"
NODES = [f"node{number}" for number in range(1, 7)]
CANNOT = 'pods is forbidden: User "x" cannot {} resource "pods"'
RIGHT = Forbidden(CANNOT.format("get"), status=403, reason="Forbidden")
DELETE = Forbidden(CANNOT.format("delete"), status=403, reason="Forbidden")


def reasons(cluster: JobsCluster) -> list[str]:
    return [event["reason"] for event in cluster.told]


def test_an_end_is_told_also_when_its_status_could_not_be_written():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(1)
    cluster.failures = {"status imagepulljobs": [Unreachable("no answer")] * 3}
    keeper.rounds(60)
    assert reasons(cluster) == ["PullImageSucceed"]
    assert 'kip_pull_job_seconds_count{outcome="complete"} 1.0' in keeper.metrics.text().decode()


def test_an_end_is_told_by_the_next_keeper_if_one_was_killed_just_then():
    cluster = JobsCluster(["node1"])
    cluster.job("job", image=IMAGE)
    cluster.failures = {"status imagepulljobs": [Unreachable("no answer")] * 99}
    keeper = Keeper(cluster)
    for _ in range(20):
        keeper.controller.round()  # its Events are never sent
        cluster.world.tick()
    cluster.failures = {}
    Keeper(cluster).rounds(3)
    assert reasons(cluster) == ["PullImageSucceed"]


def with_pods_under_way() -> tuple[JobsCluster, Keeper]:
    """Return a keeper whose job has three pods that pull, and will for long."""
    cluster = JobsCluster(list(NODES), {(node, IMAGE): HANGS for node in NODES})
    cluster.job("job", image=IMAGE, parallelism=3)
    keeper = Keeper(cluster)
    keeper.rounds(3)
    return cluster, keeper


def test_jobs_that_are_switched_off_leave_no_pods():
    cluster, keeper = with_pods_under_way()
    keeper.settings.now = replace(keeper.settings.now, pull_job_namespaces=())
    keeper.rounds(3)
    assert cluster.world.pods == {}


def test_a_namespace_that_is_taken_off_the_list_leaves_no_pods():
    cluster, keeper = with_pods_under_way()
    keeper.settings.now = replace(keeper.settings.now, pull_job_namespaces=("another",))
    keeper.rounds(3)
    assert cluster.world.pods == {}


def test_openkruise_that_is_installed_later_gets_nodes_on_which_nothing_is_pulled():
    cluster, keeper = with_pods_under_way()
    cluster.put(CRDS, {"metadata": {"name": "nodeimages.apps.kruise.io"}})
    cluster.world.now += timedelta(seconds=100)
    keeper.rounds(3)
    assert cluster.world.pods == {}


def test_a_keeper_that_loses_the_lease_leaves_pods_to_the_next():
    cluster = JobsCluster(list(NODES), {(node, IMAGE): HANGS for node in NODES})
    cluster.job("job", image=IMAGE, parallelism=3)
    acts = [True]
    keeper = Keeper(cluster, may_act=lambda: acts[0])
    keeper.rounds(3)
    acts[0] = False
    keeper.rounds(3)
    assert len(cluster.world.pods) == 3


def test_what_may_not_be_read_hides_no_job_of_another_namespace():
    class Half(Place):
        def __init__(self, cluster: JobsCluster, namespace: str, *others: object) -> None:
            super().__init__(cluster, namespace, *others)
            self.complete = namespace == NAMESPACE
            self.problem = "" if self.complete else "jobs may not be listed"

    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.controller.place_of = Half
    keeper.settings.now = replace(keeper.settings.now, pull_job_namespaces=(NAMESPACE, "closed"))
    keeper.rounds(30)
    assert [view.name for view in keeper.views] == ["job"]
    assert keeper.notes[-1] == "jobs may not be listed"


def test_the_budget_holds_while_a_namespace_is_not_listed_yet():
    slow = [True]

    class Late(Place):
        @property
        def complete(self) -> bool:
            return self.namespace == NAMESPACE or not slow[0]

    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.controller.place_of = Late
    keeper.settings.now = replace(keeper.settings.now, pull_job_namespaces=(NAMESPACE, "late"))
    keeper.rounds(5)
    assert "create pods" not in cluster.calls
    slow[0] = False
    keeper.rounds(30)
    assert cluster.status("job")["succeeded"] == 6


def test_a_clock_that_goes_wrong_here_ends_no_job_early():
    cluster = JobsCluster(list(NODES))
    cluster.ahead = -timedelta(hours=1)
    cluster.job(
        "job",
        image=IMAGE,
        parallelism=2,
        pullPolicy={"timeoutSeconds": 60},
        completionPolicy={"activeDeadlineSeconds": 600},
    )
    keeper = Keeper(cluster)
    keeper.controller.now = lambda: cluster.world.now + timedelta(hours=1)
    keeper.rounds(60)
    assert cluster.status("job")["succeeded"] == 6


def test_the_status_tells_which_digest_the_nodes_got_also_after_a_restart():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=1)
    Keeper(cluster).rounds(4)
    Keeper(cluster).rounds(60)
    assert cluster.status("job")["digests"] == [f"sha256:{'a' * 64}"]


def test_each_image_of_a_list_has_its_digest():
    cluster = JobsCluster(list(NODES), {(node, OTHER): BAD for node in NODES})
    cluster.job("list", "ImageListPullJob", images=[IMAGE, OTHER], parallelism=10)
    Keeper(cluster).rounds(200)
    images = cluster.status("list", "ImageListPullJob")["imageStatuses"]
    assert [image.get("digests") for image in images] == [[f"sha256:{'a' * 64}"], None]


def test_pull_policy_always_in_an_edit_asks_every_node_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=1)
    keeper = Keeper(cluster)
    keeper.rounds(4)
    before = cluster.calls.count("create pods")
    cluster.job("job", image=IMAGE, parallelism=6, imagePullPolicy="Always")
    keeper.rounds(60)
    assert cluster.calls.count("create pods") == before + 6


def test_a_record_that_is_refused_is_said_in_the_status():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    cluster.failures = {"create configmaps": [Invalid("Request entity too large")] * 99}
    Keeper(cluster).rounds(5)
    status = cluster.status("job")
    assert "record cannot be kept: Request entity too large" in status["message"]
    assert "create pods" not in cluster.calls


def test_a_record_that_is_refused_later_leaves_the_counts_as_they_are():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, completionPolicy={"activeDeadlineSeconds": 600})
    keeper = Keeper(cluster)
    keeper.rounds(6)
    there = cluster.status("job")["succeeded"]
    cluster.failures = {"update configmaps": [Invalid("Request entity too large")] * 999}
    cluster.world.now += timedelta(seconds=900)
    keeper.rounds(5)
    status = cluster.status("job")
    assert (status["succeeded"], status["failed"], "completionTime" in status) == (there, 0, False)
    assert there


def test_a_record_that_may_not_be_read_is_said_in_the_status():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    cluster.failures = {"get configmaps": [RIGHT] * 99}
    keeper = Keeper(cluster)
    keeper.rounds(5)
    assert "record cannot be read" in cluster.status("job")["message"]
    assert keeper.views[0].phase is Phase.BLOCKED


@pytest.mark.parametrize("restart", [False, True])
def test_an_edit_of_the_pace_of_a_job_that_is_over_tells_no_second_end(restart):
    cluster = JobsCluster(list(NODES))
    cluster.world.now += timedelta(microseconds=123_456)
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(30)
    cluster.job("job", image=IMAGE, parallelism=3)
    keeper = Keeper(cluster) if restart else keeper
    keeper.rounds(30)
    assert reasons(cluster) == ["PullImageSucceed"]


def test_a_right_that_is_back_blocks_no_more():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10, completionPolicy={"type": "Never"})
    keeper = Keeper(cluster)
    keeper.rounds(1)
    cluster.failures = {"delete pods": [DELETE] * 3}
    keeper.rounds(3)
    assert keeper.views[0].phase is Phase.BLOCKED
    cluster.failures = {}
    keeper.rounds(120)
    assert keeper.views[0].phase is not Phase.BLOCKED


def test_a_rerun_tells_only_the_digests_that_it_got():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(30)
    cluster.world.digest = "b" * 64
    cluster.job("job", image=IMAGE, parallelism=10, imagePullPolicy="Always")
    keeper.rounds(30)
    assert cluster.status("job")["digests"] == [f"sha256:{'b' * 64}"]


def test_the_job_is_the_controller_of_its_pods():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    Keeper(cluster).rounds()
    (pod,) = cluster.world.pods.values()
    assert pod["metadata"]["ownerReferences"][0]["controller"] is True


def test_a_record_of_other_images_under_the_same_plan_only_means_to_ask_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    Keeper(cluster).rounds(4)
    for (kind, _), found in cluster.objects.items():
        if kind == CONFIGMAPS.kind:
            found["data"]["record"] = to_text(Record((OTHER, IMAGE), cluster.world.now))
    Keeper(cluster).rounds(60)
    assert cluster.status("job")["succeeded"] == 6
