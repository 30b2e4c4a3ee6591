"""One reconcile: what it writes, and what it leaves alone."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from fakes import BLIND, EVERYTHING, Clock, FakeCluster, deployment, unasked
from samples import COMPLETE, OWNER, settings, upstream_cache

from kip.core.render.daemonset import REFRESHED_AT, UPSTREAM_LABELS, Owner
from kip.core.rights import Rights, Rule
from kip.core.rollout.plan import Action
from kip.errors import Conflict, Forbidden, Invalid, OwnershipError, ServerError, SettingsError, Unreachable
from kip.keeper.lease import Leadership
from kip.keeper.reconcile import Reconciler

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
UPSTREAMS = Rights(
    (Rule(frozenset({"create", "delete", "get", "list", "watch"}), *(frozenset({"*"}),) * 2, frozenset()),)
)


def keeping(cluster: FakeCluster, now: datetime = NOW) -> Reconciler:
    return Reconciler(cluster, lambda: now, lambda: 0.0, unasked(lambda: now))


def kept(*objects, rights=EVERYTHING, **values) -> FakeCluster:
    """Return a cluster after one reconcile."""
    cluster = FakeCluster(*objects, rights=rights)
    keeping(cluster).reconcile(settings(**values))
    return cluster


def names(cluster: FakeCluster) -> list[str]:
    return [item["name"] for item in cluster.daemonset()["spec"]["template"]["spec"]["containers"]]


def test_a_missing_cache_is_created():
    assert names(kept()) == ["tools", "ide"]


def test_the_cache_belongs_to_our_deployment():
    cluster = kept(deployment(), DEPLOYMENT_NAME="kubernetes-image-puller")
    assert [owner["uid"] for owner in cluster.daemonset()["metadata"]["ownerReferences"]] == [
        "deployment-uid"
    ]


def test_without_the_right_to_read_deployments_the_cache_has_no_owner():
    cluster = FakeCluster(deployment(), rights=Rights())
    cluster.failures["get deployments"] = [Forbidden("no")]
    keeping(cluster).reconcile(settings(DEPLOYMENT_NAME="kubernetes-image-puller"))
    assert "ownerReferences" not in cluster.daemonset()["metadata"]


def test_a_refusal_in_spite_of_that_right_does_not_cost_the_cache_its_owner():
    cluster = FakeCluster(deployment())
    cluster.failures["get deployments"] = [Forbidden("not yet")]
    with pytest.raises(Forbidden):
        keeping(cluster).reconcile(settings(DEPLOYMENT_NAME="kubernetes-image-puller"))


def test_a_second_reconcile_writes_nothing():
    cluster = kept()
    before = len(cluster.writes)
    keeping(cluster).reconcile(settings())
    assert len(cluster.writes) == before


def test_an_idle_reconcile_is_two_requests():
    cluster = FakeCluster(deployment())
    keeper, chosen = keeping(cluster), settings(DEPLOYMENT_NAME="kubernetes-image-puller")
    for _ in range(3):
        keeper.reconcile(chosen)
    before = len(cluster.calls)
    keeper.reconcile(chosen)
    assert cluster.calls[before:] == ["list daemonsets", "get deployments"]


@pytest.mark.parametrize("rights", [EVERYTHING, UPSTREAMS], ids=["patch", "no patch"])
def test_an_edit_of_the_list_changes_the_cache(rights):
    cluster = kept(rights=rights)
    keeping(cluster).reconcile(settings("new=registry.example/new:1.0.0"))
    assert names(cluster) == ["new"]


@pytest.mark.parametrize("rights", [EVERYTHING, UPSTREAMS], ids=["patch", "no patch"])
def test_the_change_itself_is_the_end_of_it(rights):
    cluster = kept(rights=rights)
    keeper, chosen = keeping(cluster), settings("new=registry.example/new:1.0.0")
    keeper.reconcile(chosen)
    assert keeper.reconcile(chosen).plan.steps == ()


def test_an_edit_rolls_the_pods_once():
    cluster = kept()
    keeping(cluster).reconcile(settings("new=registry.example/new:1.0.0"))
    assert cluster.daemonset()["metadata"]["generation"] == 2


def test_an_upstream_cache_is_taken_over_with_one_roll():
    cluster = kept(upstream_cache(owner=None))
    assert (names(cluster), cluster.daemonset()["metadata"]["generation"]) == (["tools", "ide"], 2)


def test_an_upstream_cache_keeps_its_selector():
    found = upstream_cache(owner=None)
    assert kept(found, rights=UPSTREAMS).daemonset()["spec"]["selector"] == found["spec"]["selector"]


def test_without_patch_the_pods_are_orphaned_before_the_new_cache_adopts_them():
    cluster = kept(rights=UPSTREAMS)
    before = len(cluster.calls)
    keeping(cluster).reconcile(settings("new=registry.example/new:1.0.0"))
    assert [call for call in cluster.calls[before:] if call.split()[0] in {"delete", "create"}] == [
        "delete daemonsets",
        "create daemonsets",
    ]


def test_before_a_selector_of_upstreams_is_let_go_of_a_net_remembers_it():
    cluster = kept(upstream_cache(owner=None), rights=UPSTREAMS)
    nets = [found for (_, _, name), found in cluster.objects.items() if "-net-" in name]
    assert json.loads(nets[0]["metadata"]["annotations"]["kip.dev/selector"]) == {
        "matchLabels": UPSTREAM_LABELS
    }


def test_a_container_that_somebody_added_is_removed():
    cluster = kept()
    stray = {"name": "stray", "image": "x"}
    cluster.daemonset()["spec"]["template"]["spec"]["containers"].append(stray)
    keeping(cluster).reconcile(settings())
    assert names(cluster) == ["tools", "ide"]


def test_a_due_refresh_is_stamped_on_the_pods():
    cluster = kept()
    keeping(cluster, datetime(2026, 11, 21, 9, 10, tzinfo=UTC)).reconcile(settings())
    annotations = cluster.daemonset()["spec"]["template"]["metadata"]["annotations"]
    assert annotations[REFRESHED_AT] == "2026-11-21T09:10:00Z"


def test_a_refresh_that_is_not_due_changes_nothing():
    cluster = kept()
    assert keeping(cluster).reconcile(settings()).plan.steps == ()


def test_a_foreign_cache_is_refused():
    with pytest.raises(OwnershipError):
        kept(upstream_cache(owner=Owner("theirs", "their-uid")), DEPLOYMENT_NAME=OWNER.name)


def test_a_foreign_cache_is_not_written_to():
    cluster = FakeCluster(upstream_cache(owner=Owner("theirs", "their-uid")))
    with pytest.raises(OwnershipError):
        keeping(cluster).reconcile(settings())
    assert cluster.writes == []


def test_what_the_api_server_refuses_is_never_begun():
    cluster = kept()
    before = len(cluster.writes)
    cluster.failures["dry-run daemonsets"] = [Invalid("no")]
    with pytest.raises(SettingsError):
        keeping(cluster).reconcile(settings("new=registry.example/new:1.0.0"))
    assert len(cluster.writes) == before


def test_a_cache_that_another_keeper_made_meanwhile_is_a_conflict():
    cluster = FakeCluster()
    cluster.failures["create daemonsets"] = [Conflict("already exists")]
    with pytest.raises(Conflict):
        keeping(cluster).reconcile(settings())


def test_a_failure_between_delete_and_create_is_mended_by_the_next_reconcile():
    cluster = kept(rights=UPSTREAMS)
    cluster.failures["create daemonsets"] = [Unreachable("gone")]
    chosen = settings("new=registry.example/new:1.0.0")
    with pytest.raises(Unreachable):
        keeping(cluster).reconcile(chosen)
    assert keeping(cluster).reconcile(chosen).plan.steps[0].action is Action.CREATE


def test_an_error_while_the_platform_is_asked_for_is_no_guess():
    cluster = FakeCluster()
    cluster.failures["groups daemonsets"] = [Unreachable("gone")]
    with pytest.raises(Unreachable):
        keeping(cluster).reconcile(settings())
    assert cluster.writes == []


def test_on_openshift_the_platform_gives_the_uid():
    cluster = FakeCluster(groups=frozenset({"route.openshift.io"}))
    keeping(cluster).reconcile(settings())
    assert "runAsUser" not in cluster.daemonset()["spec"]["template"]["spec"]["securityContext"]


def test_a_platform_that_is_set_is_not_asked_for():
    cluster = kept(PLATFORM="openshift")
    assert "groups daemonsets" not in cluster.calls


# Caches of earlier names and places


def test_a_cache_of_an_earlier_name_goes_when_the_new_one_stands():
    cluster = kept(deployment(), DEPLOYMENT_NAME="kubernetes-image-puller")
    keeper = keeping(cluster)
    renamed = settings(DEPLOYMENT_NAME="kubernetes-image-puller", DAEMONSET_NAME="renamed")
    for _ in range(2):
        keeper.reconcile(renamed)
    assert caches(cluster) == [("images", "renamed")]


def test_it_does_not_go_before_the_new_one_stands():
    cluster = kept(deployment(), DEPLOYMENT_NAME="kubernetes-image-puller")
    keeping(cluster).reconcile(settings(DEPLOYMENT_NAME="kubernetes-image-puller", DAEMONSET_NAME="renamed"))
    assert caches(cluster) == [("images", "kubernetes-image-puller"), ("images", "renamed")]


def test_a_cache_without_an_owner_that_this_keeper_did_not_make_is_nobodys_former_one():
    cluster = kept()
    keeper = keeping(cluster)
    for _ in range(2):
        keeper.reconcile(settings(DAEMONSET_NAME="another-release"))
    assert caches(cluster) == [("images", "another-release"), ("images", "kubernetes-image-puller")]


def test_a_cache_without_an_owner_moves_with_the_keeper_that_made_it():
    cluster = FakeCluster()
    keeper = keeping(cluster)
    keeper.reconcile(settings())
    for _ in range(2):
        keeper.reconcile(settings(DAEMONSET_NAME="renamed"))
    assert caches(cluster) == [("images", "renamed")]


def test_a_cache_moves_to_another_namespace():
    cluster = kept(deployment(), DEPLOYMENT_NAME="kubernetes-image-puller")
    keeper = keeping(cluster)
    keeper.home = "images"
    moved = settings(DEPLOYMENT_NAME="kubernetes-image-puller", NAMESPACE="elsewhere")
    for _ in range(2):
        keeper.reconcile(moved)
    assert caches(cluster) == [("elsewhere", "kubernetes-image-puller")]


def test_a_cache_of_another_deployment_is_not_taken_for_a_former_one():
    theirs = upstream_cache("theirs", owner=Owner("theirs", "their-uid"))
    cluster = kept(deployment(), theirs, DEPLOYMENT_NAME="kubernetes-image-puller")
    keeping(cluster).reconcile(settings(DEPLOYMENT_NAME="kubernetes-image-puller"))
    assert caches(cluster) == [("images", "kubernetes-image-puller"), ("images", "theirs")]


def caches(cluster: FakeCluster) -> list[tuple[str, str]]:
    return sorted((namespace, name) for kind, namespace, name in cluster.objects if kind == "DaemonSet")


@pytest.mark.parametrize(
    ("seconds", "failures", "writes"),
    [(29.0, 9, ["create daemonsets"]), (31.0, 9, []), (31.0, 0, ["create daemonsets"])],
    ids=["in time", "too late", "renewed"],
)
def test_nothing_is_written_after_the_lease_has_run_out(seconds, failures, writes):
    clock = Clock()

    class Slow(FakeCluster):
        def list_all(self, *arguments):
            clock.seconds += seconds
            return super().list_all(*arguments)

    cluster = Slow()
    it = Reconciler(cluster, lambda: NOW, clock, unasked(lambda: NOW), name="me")
    lead = Leadership(cluster, "me", it.rights, lambda: NOW, clock)
    lead.follow("images", "kubernetes-image-puller")
    lead.hold()
    cluster.failures["update leases"] = [ServerError("trouble")] * failures
    it.reconcile(settings(), lead)
    assert [call for call in cluster.writes if "lease" not in call] == writes


@pytest.mark.parametrize(("rights", "acts"), [(EVERYTHING, True), (UPSTREAMS, False)])
def test_who_holds_the_lease_need_not_care_who_started_later(rights, acts):
    clock = Clock()
    cluster = FakeCluster(rights=rights)
    newer = Reconciler(cluster, lambda: NOW, clock, unasked(lambda: NOW), name="newer")
    newer.reconcile(settings())
    it = Reconciler(cluster, lambda: NOW - timedelta(hours=1), clock, unasked(lambda: NOW), name="me")
    lead = Leadership(cluster, "me", it.rights, lambda: NOW, clock)
    lead.follow("images", "kubernetes-image-puller")
    lead.hold()
    it.reconcile(settings("other=registry.example/other:1"), lead)
    assert (names(cluster) == ["other"]) is acts


def test_without_the_right_to_list_daemonsets_no_net_is_spread():
    verbs = frozenset({"create", "delete", "get", "patch"})
    rights = Rights((Rule(verbs, frozenset({"apps"}), frozenset({"daemonsets"}), frozenset()),))
    cluster = kept(rights=rights, IMAGES="a=registry.example/a:1")
    cluster.daemonset()["status"] = {**COMPLETE, "numberReady": 0}
    keeping(cluster).reconcile(settings(IMAGES="a=registry.example/a:1;b=registry.example/b:1"))
    assert names(cluster) == ["a", "b"]


def test_a_cache_stuck_in_its_deletion_is_let_go():
    cluster, clock = kept(), Clock()
    metadata = cluster.daemonset()["metadata"]
    metadata |= {"deletionTimestamp": "2026-11-21T08:00:00Z", "finalizers": ["x", "foregroundDeletion"]}
    it = Reconciler(cluster, lambda: NOW, clock, unasked(lambda: NOW))
    it.reconcile(settings())
    clock.seconds = 46.0
    it.reconcile(settings())
    assert cluster.daemonset()["metadata"]["finalizers"] == ["x"]


@pytest.mark.parametrize(("seconds", "outcome"), [(59.0, "waits"), (61.0, "goes on")])
def test_a_net_that_is_stuck_in_its_deletion_is_not_waited_for_for_ever(seconds, outcome):
    class Stuck(FakeCluster):
        def create(self, resource, namespace, manifest, *, dry_run=False):
            if "-net-" in manifest["metadata"]["name"] and not dry_run:
                raise Conflict("object is being deleted")
            return super().create(resource, namespace, manifest, dry_run=dry_run)

    cluster, clock = Stuck(rights=BLIND), Clock()
    it = Reconciler(cluster, lambda: NOW, clock, unasked(lambda: NOW))
    it.reconcile(settings("a=registry.example/a:1"))
    cluster.daemonset()["status"] = {**COMPLETE, "numberReady": 0}
    for moment in (0.0, seconds, seconds + 1):
        clock.seconds = moment
        with suppress(Conflict):
            it.reconcile(settings("a=registry.example/a:1;b=registry.example/b:1"))
    assert (names(cluster) == ["a", "b"]) is (outcome == "goes on")


def test_what_a_former_cache_holds_is_not_left_out_for_a_moments_refusal():
    class Refusing(FakeCluster):
        refuses = False

        def create(self, resource, namespace, manifest, *, dry_run=False):
            images = [item["image"] for item in manifest["spec"]["template"]["spec"]["containers"]]
            if self.refuses and "registry.example/b:1" in images:
                raise Forbidden("admission webhook denied the request")
            return super().create(resource, namespace, manifest, dry_run=dry_run)

    cluster = Refusing()
    it = keeping(cluster)
    listed = "a=registry.example/a:1;b=registry.example/b:1"
    it.reconcile(settings(listed))
    cluster.refuses = True
    it.forget()
    with pytest.raises(SettingsError, match="now refuses what is cached"):
        it.reconcile(settings(listed, DAEMONSET_NAME="renamed"))
    assert cluster.daemonset("renamed") is None
