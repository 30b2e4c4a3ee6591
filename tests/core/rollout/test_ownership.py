"""Whose DaemonSet it is."""

from samples import OWNER, manifest, stored, upstream_cache

from kip.core.render.daemonset import Owner
from kip.core.rollout.ownership import foreign_owner, written_annotations

REMADE = Owner(OWNER.name, "a-new-uid")


def foreign(**metadata):
    found = stored(manifest(owner=None), manager="kubectl", **metadata)
    found["spec"]["selector"] = {"matchLabels": {"app": "theirs"}}
    return found


def test_what_our_deployment_owns_is_ours():
    assert foreign_owner(stored(manifest(), manager="somebody"), OWNER) == ""


def test_what_kip_wrote_without_an_owner_is_ours():
    assert foreign_owner(stored(manifest(owner=None)), None) == ""


def test_an_upstream_cache_of_our_deployment_is_taken_over():
    assert foreign_owner(upstream_cache(), OWNER) == ""


def test_an_upstream_cache_without_owner_is_taken_over():
    assert foreign_owner(upstream_cache(owner=None), OWNER) == ""


def test_a_cache_of_our_deployment_before_it_was_made_anew_is_ours():
    assert foreign_owner(stored(manifest()), REMADE) == ""


def test_a_cache_of_another_deployment_is_not_ours():
    theirs = Owner("other-puller", "another-uid")
    assert foreign_owner(upstream_cache(owner=theirs), OWNER) == "Deployment other-puller"


def test_a_daemonset_of_another_field_manager_is_not_ours():
    assert foreign_owner(foreign(), OWNER) == "field manager kubectl"


def test_a_daemonset_that_nobody_signed_is_not_ours():
    assert foreign_owner(foreign(managedFields=[]), OWNER) == "nobody that kip knows"


def test_the_controllers_status_updates_make_it_nobody_elses():
    found = foreign()
    found["metadata"]["managedFields"] = [{"manager": "kip", "subresource": "status"}]
    assert foreign_owner(found, OWNER) == "nobody that kip knows"


def test_annotations_of_other_managers_are_not_ours_to_remove():
    found = stored(manifest(DAEMONSET_ANNOTATIONS="a=1"), manager="kubectl")
    assert written_annotations(found["metadata"]) == set()


def test_annotations_that_kip_wrote_are_known():
    found = stored(manifest(DAEMONSET_ANNOTATIONS="a=1"))
    assert written_annotations(found["metadata"]) == {"a"}
