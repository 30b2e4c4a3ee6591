"""The end of a keeper: what becomes of the cache."""

from datetime import UTC, datetime

from fakes import Clock, FakeCluster, deployment
from samples import OWNER, manifest, settings, stored, upstream_cache

from kip.core.render.daemonset import Owner
from kip.core.rollout.bridge import bridge_for
from kip.errors import Unreachable
from kip.keeper.lease import Leadership
from kip.keeper.run import StopSignal, _farewell_in_time, shutdown

CHOSEN = settings(DEPLOYMENT_NAME=OWNER.name)


def cache(owner: Owner = OWNER) -> dict:
    return stored(manifest(owner=owner)) | {"kind": "DaemonSet"}


def lease(cluster: FakeCluster, me: str = "me") -> Leadership:
    """Return a keeper's claim to the lease of the cache, after its first look."""
    found = Leadership(cluster, me, cluster.rights, lambda: datetime(2026, 11, 21, 8, 0, tzinfo=UTC), Clock())
    found.follow(CHOSEN.namespace, CHOSEN.daemonset_name)
    found.hold()
    return found


def left(*objects, chosen=CHOSEN) -> tuple[str, bool]:
    """Return what is said about the cache, and whether it is still there."""
    cluster = FakeCluster(*objects)
    return shutdown(cluster, chosen, lease(cluster)), cluster.daemonset() is not None


def test_an_ordinary_end_leaves_the_cache():
    assert left(deployment(), cache()) == ("kept", True)


def test_scaling_to_zero_takes_the_cache_along():
    assert left(deployment(replicas=0), cache()) == ("deleted, as the Deployment was scaled to 0", False)


def test_scaling_to_zero_takes_nets_along():
    ours = manifest(owner=OWNER)
    net = stored(bridge_for(ours, ours, ["registry.example/a:1"]), uid="net") | {"kind": "DaemonSet"}
    cluster = FakeCluster(deployment(uid=OWNER.uid, replicas=0), cache(), net)
    shutdown(cluster, CHOSEN, lease(cluster))
    assert [key for key in cluster.objects if key[0] == "DaemonSet"] == []


def test_a_deleted_deployment_leaves_the_cache_to_the_garbage_collector():
    assert left(cache()) == ("kept", True)


def test_without_a_deployment_the_cache_stays():
    assert left(deployment(replicas=0), cache(), chosen=settings()) == ("kept", True)


def test_a_foreign_cache_is_not_taken_along():
    theirs = upstream_cache(owner=Owner("theirs", "their-uid"))
    assert left(deployment(replicas=0), theirs) == ("none of ours", True)


def test_without_settings_there_is_nothing_to_decide():
    assert left(chosen=None) == ("none", False)


def test_an_api_server_that_does_not_answer_does_not_delay_the_end():
    cluster = FakeCluster(deployment(replicas=0), cache())
    cluster.failures["get deployments"] = [Unreachable("gone")]
    assert "kept, as the API server could not be asked" in shutdown(cluster, CHOSEN, lease(cluster))


def test_a_standby_does_not_take_the_cache_along():
    cluster = FakeCluster(deployment(replicas=0), cache())
    lease(cluster, "other")
    assert shutdown(cluster, CHOSEN, lease(cluster)) == "left to other"
    assert cluster.daemonset() is not None


def test_the_lease_is_let_go_after_the_cache_is_seen_to():
    cluster = FakeCluster(deployment(replicas=0), cache())
    held = lease(cluster)
    cluster.calls.clear()
    assert "deleted" in _farewell_in_time(cluster, CHOSEN, held)
    assert cluster.writes == ["delete daemonsets", "update leases"]
    assert lease(cluster, "successor").holding


def test_a_lease_that_takes_too_long_to_let_go_does_not_change_what_became_of_the_cache():
    cluster = FakeCluster(deployment(), cache())
    held = lease(cluster)
    cluster.failures["get leases"] = [StopSignal("SIGALRM")]
    assert _farewell_in_time(cluster, CHOSEN, held) == "kept"
