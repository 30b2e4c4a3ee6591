"""The end of a keeper: what becomes of the cache."""

from fakes import FakeCluster, deployment
from samples import OWNER, manifest, settings, stored, upstream_cache

from kip.core.render import Owner
from kip.errors import Unreachable
from kip.keeper.run import farewell

CHOSEN = settings(DEPLOYMENT_NAME=OWNER.name)


def cache(owner: Owner = OWNER) -> dict:
    return stored(manifest(owner=owner)) | {"kind": "DaemonSet"}


def left(*objects, chosen=CHOSEN) -> tuple[str, bool]:
    """Return what is said about the cache, and whether it is still there."""
    cluster = FakeCluster(*objects)
    return farewell(cluster, chosen), cluster.daemonset() is not None


def test_an_ordinary_end_leaves_the_cache():
    assert left(deployment(), cache()) == ("kept", True)


def test_scaling_to_zero_takes_the_cache_along():
    assert left(deployment(replicas=0), cache()) == ("deleted, as the Deployment was scaled to 0", False)


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
    assert "kept, as the API server could not be asked" in farewell(cluster, CHOSEN)
