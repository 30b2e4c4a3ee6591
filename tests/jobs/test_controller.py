"""Jobs run from beginning to end by a controller, on nodes and an API server in memory."""

from dataclasses import replace
from datetime import datetime

import pytest
from jobworld import NAMESPACE, Hidden, JobsCluster, Keeper
from pullworld import BAD, HANGS

from kip.cluster.api import CONFIGMAPS, CRDS
from kip.core.status.jobs_view import Phase
from kip.errors import Forbidden, Unreachable

IMAGE, OTHER = "registry.example/a:1", "registry.example/b:1"
NODES = [f"node{number}" for number in range(1, 7)]
RIGHT = Forbidden('pods is forbidden: User "x" cannot create resource "pods"', status=403, reason="Forbidden")


def conditions(status: dict) -> dict[str, str]:
    return {found["type"]: found["status"] for found in status["conditions"]}


def is_over(cluster: JobsCluster, name: str = "job", kind: str = "ImagePullJob"):
    return lambda: "completionTime" in cluster.status(name, kind)


def test_a_job_is_run_to_its_end_and_leaves_nothing_but_its_status_and_its_record():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=2)
    Keeper(cluster).rounds(60)
    status = cluster.status("job")
    assert {key: status[key] for key in ("desired", "active", "succeeded", "failed", "message")} == {
        "desired": 6,
        "active": 0,
        "succeeded": 6,
        "failed": 0,
        "message": "job has completed",
    }
    assert conditions(status) == {"Complete": "True", "Failed": "False"}
    assert (status["observedGeneration"], cluster.world.pods, cluster.most["job"]) == (1, {}, 2)
    (record,) = (found for (kind, _), found in cluster.objects.items() if kind == CONFIGMAPS.kind)
    assert record["metadata"]["ownerReferences"][0]["kind"] == "ImagePullJob"


def test_pods_belong_to_their_job():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    Keeper(cluster).rounds()
    (pod,) = cluster.world.pods.values()
    assert pod["metadata"]["ownerReferences"][0]["name"] == "job"


def test_failures_are_told_with_their_reasons():
    cluster = JobsCluster(list(NODES), {("node2", IMAGE): BAD, ("node5", IMAGE): BAD})
    cluster.job("job", image=IMAGE, parallelism=10, pullPolicy={"backoffLimit": 0})
    Keeper(cluster).rounds(60)
    status = cluster.status("job")
    (failure,) = status["failures"]
    assert (failure["reason"], failure["nodes"], failure["count"]) == ("ErrImagePull", ["node2", "node5"], 2)
    assert status["failedNodes"] == ["node2", "node5"]
    assert conditions(status) == {"Complete": "False", "Failed": "True", "Stalled": "True"}
    reasons = [event["reason"] for event in cluster.told]
    assert set(reasons) == {"PullImageFailed"}
    assert cluster.told[-1]["regarding"]["kind"] == "ImagePullJob"


def test_success_is_told_once():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    Keeper(cluster).rounds(60)
    assert [event["reason"] for event in cluster.told] == ["PullImageSucceed"]


def test_one_status_tells_all_of_a_list():
    cluster = JobsCluster(list(NODES), {("node2", OTHER): BAD})
    cluster.job(
        "list",
        "ImageListPullJob",
        images=[IMAGE, OTHER],
        parallelism="10",
        pullPolicy={"backoffLimit": 0},
    )
    Keeper(cluster).rounds(60)
    status = cluster.status("list", "ImageListPullJob")
    counts = {key: status[key] for key in ("desired", "active", "completed", "succeeded")}
    assert counts == {"desired": 2, "active": 0, "completed": 2, "succeeded": 1}
    assert status["nodes"] == {"desired": 6, "active": 0, "succeeded": 5, "failed": 1}
    (failed,) = status["failedImageStatuses"]
    assert (failed["name"], failed["imagePullJob"]) == (OTHER, "list")
    assert "node2" in failed["message"]


def test_all_jobs_share_one_budget_and_none_waits_for_another():
    cluster = JobsCluster([f"node{number}" for number in range(40)])
    for number in range(4):
        cluster.job(f"job{number}", image=IMAGE, parallelism=40)
    keeper = Keeper(cluster, budget=10)
    keeper.rounds(6)
    done = [cluster.status(f"job{number}")["succeeded"] for number in range(4)]
    assert max(done) - min(done) <= 3
    assert min(done) > 0
    keeper.rounds(120)
    assert [cluster.status(f"job{number}")["succeeded"] for number in range(4)] == [40] * 4
    assert cluster.most[""] == 10


def test_a_budget_of_0_pauses_all_jobs():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    Keeper(cluster, budget=0).rounds(10)
    assert (cluster.world.pods, cluster.status("job")["desired"]) == ({}, 6)


def test_another_keeper_goes_on_where_one_was_killed():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=2)
    for _ in range(30):
        Keeper(cluster).rounds(1)
    assert cluster.status("job")["succeeded"] == 6
    assert cluster.calls.count("create pods") == 6


def test_what_is_done_is_not_done_again_by_the_next_keeper():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    Keeper(cluster).rounds(30)
    before = len(cluster.calls)
    Keeper(cluster).rounds(30)
    assert {call.split()[0] for call in cluster.calls[before:]} <= {"get"}
    assert len(cluster.told) == 1


def test_parallelism_0_pauses_and_an_edit_resumes_without_beginning_anew():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=1)
    keeper = Keeper(cluster)
    keeper.rounds(3)
    cluster.job("job", image=IMAGE, parallelism=0)
    keeper.rounds(10)
    there, begun = cluster.status("job")["succeeded"], cluster.status("job")["startTime"]
    assert 0 < there < 6
    assert cluster.status("job")["message"].startswith("job is paused")
    assert keeper.views[0].phase is Phase.PAUSED
    keeper.rounds(10)
    assert cluster.status("job")["succeeded"] == there
    cluster.job("job", image=IMAGE, parallelism=3)
    keeper.rounds(30)
    assert (cluster.status("job")["succeeded"], cluster.status("job")["startTime"]) == (6, begun)
    assert cluster.calls.count("create pods") == 6


def test_an_edit_while_it_runs_is_followed_and_what_is_there_not_pulled_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("list", "ImageListPullJob", images=[IMAGE], parallelism=1)
    keeper = Keeper(cluster)
    keeper.rounds(4)
    pulled = len(cluster.world.pulls)
    assert pulled
    cluster.job("list", "ImageListPullJob", images=[OTHER, IMAGE], parallelism=5)
    keeper.rounds(60)
    status = cluster.status("list", "ImageListPullJob")
    assert (status["succeeded"], status["observedGeneration"]) == (2, 2)
    assert sorted(cluster.world.pulls) == sorted((node, image) for node in NODES for image in (IMAGE, OTHER))


def test_a_finished_job_runs_again_when_its_spec_changes_also_with_another_keeper():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    Keeper(cluster).rounds(30)
    cluster.job("job", image=OTHER, parallelism=10)
    Keeper(cluster).rounds(30)
    status = cluster.status("job")
    assert (status["observedGeneration"], status["succeeded"]) == (2, 6)
    assert {(node, OTHER) for node in NODES} <= cluster.world.there


def test_a_job_that_was_over_asks_every_node_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(30)
    cluster.job("job", image=IMAGE, parallelism=10, imagePullPolicy="Always")
    keeper.rounds(30)
    assert cluster.calls.count("create pods") == 12
    assert cluster.status("job")["observedGeneration"] == 2


def test_another_pace_or_lifetime_of_a_finished_job_runs_nothing():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(30)
    cluster.job("job", image=IMAGE, parallelism=3, completionPolicy={"ttlSecondsAfterFinished": 3600})
    keeper.rounds(30)
    assert cluster.calls.count("create pods") == 6
    assert cluster.status("job")["observedGeneration"] == 2
    assert "completionTime" in cluster.status("job")


@pytest.mark.parametrize("ttl", [0, 5])
def test_a_job_is_deleted_when_its_time_to_live_is_over(ttl):
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10, completionPolicy={"ttlSecondsAfterFinished": ttl})
    Keeper(cluster).rounds(40, until=lambda: ("ImagePullJob", "job") not in cluster.objects)
    assert ("ImagePullJob", "job") not in cluster.objects
    assert cluster.world.pods == {}
    assert cluster.calls.count("create pods") == 6


def test_the_next_keeper_deletes_a_job_whose_time_came_while_none_ran():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10, completionPolicy={"ttlSecondsAfterFinished": 30})
    Keeper(cluster).rounds(30, until=is_over(cluster))
    cluster.world.tick(60)
    Keeper(cluster).rounds(2)
    assert ("ImagePullJob", "job") not in cluster.objects


def test_a_deadline_ends_a_job():
    cluster = JobsCluster(list(NODES), {("node1", IMAGE): HANGS})
    cluster.job(
        "job",
        image=IMAGE,
        parallelism=10,
        pullPolicy={"timeoutSeconds": 5},
        completionPolicy={"activeDeadlineSeconds": 8},
    )
    Keeper(cluster).rounds(60, until=is_over(cluster))
    status = cluster.status("job")
    assert (status["message"], status["failedNodes"]) == ("job exceeds activeDeadlineSeconds", ["node1"])
    took = datetime.fromisoformat(status["completionTime"]) - datetime.fromisoformat(status["startTime"])
    assert took.total_seconds() <= 10


def test_a_job_that_never_completes_serves_new_nodes():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10, completionPolicy={"type": "Never"})
    keeper = Keeper(cluster)
    keeper.rounds(20)
    cluster.world.nodes.append("node7")
    keeper.rounds(20)
    status = cluster.status("job")
    assert (status["succeeded"], "completionTime" in status) == (7, False)
    assert conditions(status) == {"Complete": "False", "Failed": "False"}


def test_what_got_past_the_schema_is_refused_in_words_and_hinders_no_other_job():
    cluster = JobsCluster(list(NODES))
    for name, spec in {
        "both": {"image": IMAGE, "selector": {"names": ["node1"], "matchLabels": {"a": "b"}}},
        "none": {},
        "odd": {"image": ["x"], "parallelism": {"a": 1}, "pullPolicy": 7, "selector": "all"},
        "ill": {"image": "Registry/UPPER"},
    }.items():
        cluster.job(name, **spec)
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(30)
    assert cluster.status("job")["succeeded"] == 6
    for name in ("both", "none", "odd", "ill"):
        status = cluster.status(name)
        assert status["message"].startswith("job cannot be run: ")
        assert conditions(status)["Failed"] == "True"
    assert {view.phase for view in keeper.views} == {Phase.COMPLETE, Phase.REFUSED}
    assert cluster.calls.count("status imagepulljobs") <= 4 + 10


def test_a_refused_job_is_run_once_it_is_mended():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image="")
    keeper = Keeper(cluster)
    keeper.rounds(3)
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper.rounds(30)
    assert conditions(cluster.status("job")) == {"Complete": "True", "Failed": "False"}


def test_a_deleted_job_starts_nothing_more():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    keeper = Keeper(cluster)
    keeper.rounds(2)
    cluster.delete_job("job")
    created = cluster.calls.count("create pods")
    keeper.rounds(10)
    assert (cluster.calls.count("create pods"), cluster.world.pods) == (created, {})


def test_the_status_is_written_once_a_second_at_most_and_at_once_at_the_end():
    cluster = JobsCluster([f"node{number}" for number in range(50)])
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    for _ in range(400):
        keeper.controller.round()
        cluster.world.tick(0.25)
    seconds = datetime.fromisoformat(cluster.status("job")["completionTime"]) - datetime.fromisoformat(
        cluster.status("job")["startTime"]
    )
    assert cluster.calls.count("status imagepulljobs") <= seconds.total_seconds() + 3


def test_kip_stands_aside_where_openkruise_is():
    cluster = JobsCluster(list(NODES))
    cluster.put(CRDS, {"metadata": {"name": "nodeimages.apps.kruise.io"}})
    cluster.job("job", image=IMAGE)
    keeper = Keeper(cluster)
    keeper.rounds(3)
    assert (cluster.world.pods, cluster.status("job")) == ({}, {})
    assert "OpenKruise is installed" in keeper.notes[-1]


def test_definitions_of_somebody_else_or_none_are_left_alone():
    cluster = JobsCluster(list(NODES))
    cluster.put(CRDS, {"metadata": {"name": "imagepulljobs.apps.kruise.io"}})
    keeper = Keeper(cluster)
    keeper.rounds(1)
    assert "is not kip's" in keeper.notes[-1]
    del cluster.objects[CRDS.kind, "imagepulljobs.apps.kruise.io"]
    cluster.world.tick(100)
    keeper.rounds(1)
    assert "there is no CustomResourceDefinition" in keeper.notes[-1]


def test_without_the_right_to_see_whether_openkruise_is_there_no_job_is_run():
    cluster = JobsCluster(list(NODES))
    cluster.failures = {"get customresourcedefinitions": [RIGHT] * 9}
    keeper = Keeper(cluster)
    keeper.rounds(1)
    assert "cannot be seen" in keeper.notes[-1]


def test_a_keeper_that_stands_by_touches_nothing():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    Keeper(cluster, may_act=lambda: False).rounds(5)
    assert cluster.calls == []


def test_a_missing_right_is_said_and_costs_no_attempt():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    cluster.failures = {"create pods": [RIGHT] * 20}
    keeper = Keeper(cluster)
    keeper.rounds(10)
    assert "blocked: " in cluster.status("job")["message"]
    assert keeper.views[0].phase is Phase.BLOCKED
    assert cluster.calls.count("create pods") <= 2
    cluster.failures = {}
    keeper.rounds(60)
    assert cluster.status("job")["succeeded"] == 6


@pytest.mark.parametrize(
    "call",
    [
        "create configmaps",
        "update configmaps",
        "status imagepulljobs",
        "create pods",
        "delete pods",
        "get configmaps",
    ],
)
def test_trouble_of_the_api_server_delays_a_job_and_loses_nothing(call):
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=2)
    cluster.failures = {call: [Unreachable("no answer")] * 4}
    Keeper(cluster).rounds(120, until=is_over(cluster))
    assert cluster.status("job")["succeeded"] == 6
    assert len(cluster.world.pulls) == 6


def test_what_is_done_is_written_down_before_a_pod_is_made():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=2)
    cluster.failures = {"create configmaps": [Unreachable("no answer")]}
    Keeper(cluster).rounds(1)
    assert "create pods" not in cluster.calls


def test_a_record_that_somebody_spoilt_only_means_to_ask_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=1)
    Keeper(cluster).rounds(4)
    for (kind, _), found in cluster.objects.items():
        if kind == CONFIGMAPS.kind:
            found["data"]["record"] = "no record"
    Keeper(cluster).rounds(60)
    assert cluster.status("job")["succeeded"] == 6


def test_unknown_fields_of_a_newer_openkruise_that_change_nothing_are_fine():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10, tolerations=[{"operator": "Exists"}])
    Keeper(cluster).rounds(30)
    assert cluster.status("job")["succeeded"] == 6


def test_an_edit_of_where_the_sleeper_comes_from_is_followed_by_jobs_that_run():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    keeper = Keeper(cluster)
    keeper.rounds(3)
    keeper.settings.now = replace(keeper.settings.now, kip_image="registry.example/newer:1")
    keeper.rounds(2)
    assert "registry.example/newer:1" in str(cluster.world.pods)
    keeper.rounds(30)
    assert (cluster.status("job")["succeeded"], cluster.calls.count("create pods")) == (6, 6)


def test_metrics_tell_of_jobs():
    cluster = JobsCluster(list(NODES), {("node2", IMAGE): BAD})
    cluster.job("job", image=IMAGE, parallelism=10, pullPolicy={"backoffLimit": 0})
    keeper = Keeper(cluster)
    keeper.rounds(40)
    text = keeper.metrics.text().decode()
    assert 'kip_pull_jobs{phase="failed"} 1.0' in text
    assert 'kip_pull_job_pulls_total{outcome="pulled"} 5.0' in text
    assert 'kip_pull_job_pulls_total{outcome="failed"} 1.0' in text
    assert 'kip_pull_job_seconds_count{outcome="failed"} 1.0' in text
    assert "kip_pull_budget 50.0" in text


def test_pods_of_a_kip_pull_that_runs_are_left_alone():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, parallelism=10)
    keeper = Keeper(cluster)
    keeper.rounds(1)
    pod = {
        "metadata": {
            "name": "kip-pull-other",
            "namespace": NAMESPACE,
            "labels": {"kip.dev/pull-job": "other", "kip.dev/pull-serial": "1"},
            "annotations": {"kip.dev/pull-job-name": "other"},
        },
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "image-x", "image": IMAGE}],
            "activeDeadlineSeconds": 900,
        },
    }
    cluster.world.add(pod)
    keeper.rounds(30)
    assert "kip-pull-other" in cluster.world.pods


def test_where_nodes_may_not_be_listed_a_job_waits_and_says_so():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE, completionPolicy={"type": "Always", "ttlSecondsAfterFinished": 0})
    keeper = Keeper(cluster)
    keeper.controller.shelf_of = Hidden
    keeper.rounds(30)
    status = cluster.status("job")
    assert ("completionTime" in status, conditions(status).get("Complete", "False")) == (False, "False")
    assert "may not be listed" in str(status["conditions"])


def test_a_job_goes_on_when_nodes_may_be_listed_again():
    cluster = JobsCluster(list(NODES))
    cluster.job("job", image=IMAGE)
    keeper = Keeper(cluster)
    keeper.controller.shelf_of = Hidden
    keeper.rounds(5)
    Keeper(cluster).rounds(60)
    assert cluster.status("job")["succeeded"] == 6


def test_a_job_that_is_delayed_keeps_its_part_of_the_budget():
    class Deaf(JobsCluster):
        def update_status(self, resource, namespace, name, manifest):
            if name == "first":
                raise Unreachable("no answer")
            return super().update_status(resource, namespace, name, manifest)

    nodes = [f"node{number}" for number in range(40)]
    cluster = Deaf(nodes, {(node, IMAGE): HANGS for node in nodes})
    for name in ("first", "second"):
        cluster.job(name, image=IMAGE, parallelism=40)
    Keeper(cluster, budget=10).rounds(30)
    assert cluster.most[""] == 10


def test_an_edit_of_a_running_job_is_not_judged_by_the_pods_of_the_spec_before():
    cluster = JobsCluster(["node1"], {("node1", IMAGE): HANGS})
    cluster.job("job", image=IMAGE, pullPolicy={"backoffLimit": 0, "timeoutSeconds": 60})
    keeper = Keeper(cluster)
    keeper.rounds(3)
    cluster.world.fate[("node1", IMAGE)] = BAD
    cluster.job("job", image=IMAGE, pullSecrets=["right"], pullPolicy={"backoffLimit": 0})
    keeper.rounds(1)
    cluster.world.fate.clear()
    keeper.rounds(60, until=is_over(cluster))
    assert (cluster.status("job")["succeeded"], cluster.status("job")["failed"]) == (1, 0)
