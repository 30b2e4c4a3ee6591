"""What the API server refuses never reaches the cache, and one image takes no other down."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from fakes import Clock, FakeCluster, unasked
from samples import settings
from structlog.testing import capture_logs

from kip.core.render.admission_errors import entries_at_fault, problems_of
from kip.errors import Cause, Forbidden, Invalid, SettingsError
from kip.keeper.reconcile import Reconciler

LISTED = "a=registry.example/a:1.0.0;b=registry.example/b:1.0.0;c=registry.example/c:1.0.0"


class Strict(FakeCluster):
    """An API server that refuses some images, by validation or by a policy, and some node selectors."""

    def __init__(self, *images: str, by_policy: bool = False, selector: str = "") -> None:
        super().__init__()
        self.images, self.by_policy, self.selector = images, by_policy, selector

    def create(self, resource, namespace, manifest, *, dry_run=False):
        pod = manifest["spec"]["template"]["spec"]
        refused = [index for index, item in enumerate(pod["containers"]) if item["image"] in self.images]
        if refused and self.by_policy:
            raise Forbidden("admission webhook denied the request: registry not allowed", status=403)
        causes = [Cause(f"spec.template.spec.containers[{index}].image", "no") for index in refused]
        if self.selector and self.selector in pod["nodeSelector"]:
            causes.append(Cause("spec.template.spec.nodeSelector", "no"))
        if causes:
            raise Invalid("refused", causes=tuple(causes))
        return super().create(resource, namespace, manifest, dry_run=dry_run)


def keeper(cluster, clock=None) -> Reconciler:
    return Reconciler(cluster, now, clock or (lambda: 0.0), unasked(now))


def now() -> datetime:
    return datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def look(it: Reconciler) -> None:
    """Reconcile, asking the API server anew."""
    it.forget()
    it.reconcile(settings(LISTED))


def names(cluster) -> list[str]:
    return [item["name"] for item in cluster.daemonset()["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("by_policy", [False, True], ids=["by validation", "by a policy"])
def test_an_image_that_is_refused_is_left_out_and_the_others_are_cached(by_policy):
    cluster = Strict("registry.example/b:1.0.0", by_policy=by_policy)
    keeper(cluster).reconcile(settings(LISTED))
    assert names(cluster) == ["a", "c"]


@pytest.mark.parametrize("by_policy", [False, True], ids=["by validation", "by a policy"])
def test_an_image_that_is_refused_is_told_once(by_policy):
    it = keeper(Strict("registry.example/b:1.0.0", by_policy=by_policy))
    with capture_logs() as logs:
        for _ in range(3):
            it.reconcile(settings(LISTED))
    assert [(line["event"], line["key"]) for line in logs] == [("entry_refused", "IMAGES (b)")]


def test_an_image_that_is_refused_costs_no_request_at_each_look():
    cluster = Strict("registry.example/b:1.0.0", by_policy=True)
    it = keeper(cluster)
    for _ in range(3):
        it.reconcile(settings(LISTED))
    before = len(cluster.calls)
    it.reconcile(settings(LISTED))
    assert cluster.calls[before:] == ["list daemonsets"]


def test_settings_that_are_refused_leave_the_last_good_ones_in_force():
    cluster = Strict(selector="bad")
    it = keeper(cluster)
    it.reconcile(settings(LISTED))
    before = len(cluster.writes)
    it.reconcile(settings("d=registry.example/d:1.0.0", NODE_SELECTOR="bad=1"))
    assert (len(cluster.writes), names(cluster)) == (before, ["a", "b", "c"])


def test_the_refusal_names_the_setting():
    it = keeper(Strict(selector="bad"))
    it.reconcile(settings(LISTED))
    outcome = it.reconcile(settings(LISTED, NODE_SELECTOR="bad=1"))
    assert [problem.key for problem in outcome.refusal.problems] == ["NODE_SELECTOR"]


def test_while_settings_are_refused_drift_is_still_repaired():
    cluster = Strict(selector="bad")
    it = keeper(cluster)
    it.reconcile(settings(LISTED))
    cluster.objects.pop(("DaemonSet", "images", "kubernetes-image-puller"))
    it.reconcile(settings(LISTED, NODE_SELECTOR="bad=1"))
    assert names(cluster) == ["a", "b", "c"]


def test_a_corrected_edit_heals():
    cluster = Strict(selector="bad")
    it = keeper(cluster)
    it.reconcile(settings(LISTED))
    it.reconcile(settings(LISTED, NODE_SELECTOR="bad=1"))
    assert it.reconcile(settings(LISTED, NODE_SELECTOR="good=1")).refusal is None


def test_without_good_settings_before_a_refusal_is_an_error():
    with pytest.raises(SettingsError, match="NODE_SELECTOR"):
        keeper(Strict(selector="bad")).reconcile(settings(LISTED, NODE_SELECTOR="bad=1"))


def test_a_list_of_refused_images_only_is_refused_as_a_whole():
    images = [f"registry.example/{name}:1.0.0" for name in "abc"]
    with pytest.raises(SettingsError):
        keeper(Strict(*images)).reconcile(settings(LISTED))


def test_a_missing_right_is_no_fault_of_the_settings():
    cluster = FakeCluster()
    cluster.failures["dry-run daemonsets"] = [Forbidden("no"), Forbidden("no")]
    with pytest.raises(Forbidden):
        keeper(cluster).reconcile(settings(LISTED))


def test_a_right_that_is_missing_for_a_moment_is_no_word_about_an_image():
    class Starting(FakeCluster):
        """An API server of several, one of which does not know the rights yet."""

        def create(self, resource, namespace, manifest, *, dry_run=False):
            images = [item["image"] for item in manifest["spec"]["template"]["spec"]["containers"]]
            if "registry.example/b:1.0.0" in images:
                raise Forbidden('User "kip" cannot create resource "daemonsets"')
            return super().create(resource, namespace, manifest, dry_run=dry_run)

    with pytest.raises(Forbidden):
        keeper(Starting()).reconcile(settings(LISTED))


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("spec.template.spec.tolerations[0].operator", "TOLERATIONS"),
        ("spec.template.spec.affinity.nodeAffinity", "AFFINITY"),
        (
            "spec.template.spec.containers[0].resources.requests",
            "CACHING_CPU_REQUEST and CACHING_MEMORY_REQUEST",
        ),
        ("spec.template.spec.containers[0].resources.limits[memory]", "CACHING_MEMORY_LIMIT"),
        ("spec.template.spec.initContainers[0].image", "KIP_IMAGE"),
        ("spec.template.spec.imagePullSecrets[0].name", "IMAGE_PULL_SECRETS"),
        ("spec.template.spec.priorityClassName", "CACHING_PRIORITY_CLASS"),
        ("spec.updateStrategy.rollingUpdate.maxSurge", "MAX_SURGE"),
        ("metadata.annotations", "DAEMONSET_ANNOTATIONS"),
        ("spec.somethingElse", "settings"),
    ],
)
def test_a_field_leads_back_to_its_setting(field, key):
    assert [problem.key for problem in problems_of("refused", [Cause(field, "no")])] == [key]


def test_resources_are_no_fault_of_one_entry():
    assert entries_at_fault([Cause("spec.template.spec.containers[0].resources.limits", "no")]) == {}


@pytest.mark.parametrize(("seconds", "left"), [(599.0, ["a", "b", "c"]), (601.0, ["a", "c"])])
def test_an_image_on_the_nodes_is_left_out_only_if_its_refusal_lasts(seconds, left):
    cluster, clock = Strict(by_policy=True), Clock()
    it = keeper(cluster, clock)
    look(it)
    cluster.images = ("registry.example/b:1.0.0",)
    with suppress(SettingsError):
        look(it)
    clock.seconds = seconds
    with suppress(SettingsError):
        look(it)
    assert names(cluster) == left


def test_until_then_the_image_is_named():
    cluster = Strict(by_policy=True)
    it = keeper(cluster)
    look(it)
    cluster.images = ("registry.example/b:1.0.0",)
    with pytest.raises(SettingsError, match=r"IMAGES='registry.example/b:1.0.0': the API server now refuses"):
        look(it)


def test_a_refusal_that_was_over_begins_anew():
    cluster, clock = Strict(by_policy=True), Clock()
    it = keeper(cluster, clock)
    for images in [(), ("registry.example/b:1.0.0",), (), ("registry.example/b:1.0.0",)]:
        cluster.images = images
        with suppress(SettingsError):
            look(it)
        clock.seconds += 601.0
    assert names(cluster) == ["a", "b", "c"]


def test_an_edit_beside_a_refusal_that_is_over_takes_effect_when_asked_again():
    cluster = Strict(by_policy=True)
    it = keeper(cluster)
    look(it)
    it.reconcile(settings(LISTED))
    cluster.images = ("registry.example/b:1.0.0",)
    edited = settings(f"{LISTED};d=registry.example/d:1.0.0")
    it.reconcile(edited)
    cluster.images = ()
    it.reconcile(edited)
    assert names(cluster) == ["a", "b", "c", "d"]


def test_a_remembered_answer_does_not_make_a_refusal_young_again():
    cluster, clock = Strict(by_policy=True), Clock()
    it = keeper(cluster, clock)
    look(it)
    it.reconcile(settings(LISTED))
    cluster.images = ("registry.example/b:1.0.0",)
    edited = settings(f"{LISTED};d=registry.example/d:1.0.0")
    for clock.seconds in (0.0, 300.0, 601.0):
        it.reconcile(edited)
    assert names(cluster) == ["a", "c", "d"]
