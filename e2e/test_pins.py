"""No change lets go of a pin: measured by an independent observer, under both sets of rights."""

import json
import signal
import time
from itertools import groupby

import pytest
import realcluster
from images import ILLS, fresh_image, ill_image, move_tag, moving_image
from killed import reconcile_until_killed
from pins import witness
from realcluster import (
    KIP_RULES,
    UPSTREAM_RULES,
    apply,
    eventually,
    get,
    hack,
    kubectl,
    new_namespace,
    registry,
)
from upstream import upstream_cache

from kip.core.render.daemonset import REFRESHED_AT

NAME = "kubernetes-image-puller"
CONFIGMAP = "k8s-image-puller"
MOST_WRITES = 6
"""A change takes fewer: a net, orphan, create (or dry apply, patch, apply), the end of the net."""


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Name to reference of small images in the registry."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    small = {image["name"]: image["reference"] for image in found}
    return {name: reference for name, reference in small.items() if name not in {"large", "debian"}}


@pytest.fixture
def nodes() -> list[str]:
    return realcluster.nodes()


@pytest.fixture
def pins(namespace):
    with witness(namespace) as found:
        yield found


def listed(images: dict[str, str], *names: str) -> str:
    return ";".join(f"{name}={images[name]}" for name in names)


def bad() -> str:
    """Return an entry whose image does not exist: no cache pod is ever Ready."""
    return f"gone={registry()}/demo/gone:1.0.0"


def daemonsets(namespace: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in get("daemonsets", namespace=namespace))


def settled(namespace: str, name: str = NAME) -> bool:
    """Whether only the cache is left, and its oldest pods are all of the newest template."""
    if daemonsets(namespace) != [name]:
        return False
    found = get("daemonset", name, namespace=namespace)
    status = found["status"]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return seen and status.get("updatedNumberScheduled", 0) == status["desiredNumberScheduled"]


def refreshed(namespace: str) -> bool:
    """Whether the cache was refreshed once."""
    found = get("daemonset", NAME, namespace=namespace)
    return REFRESHED_AT in found["spec"]["template"]["metadata"].get("annotations", {})


def changed(namespace: str, pins, wanted, nodes, *, ill: bool, rules) -> None:
    """Wait until all these images are pinned and the change is over, as far as that can be seen."""
    pins.wait_for(wanted, nodes)
    # Blind, with an image that never comes, a net stays for half an hour.
    if not (ill and rules == UPSTREAM_RULES):
        eventually(lambda: settled(namespace), "the end of the change", seconds=90)


@pytest.mark.parametrize("ill", [False, True], ids=["good", "ill"])
def test_an_edit_lets_go_of_nothing(namespace, deployment, keeper, rules, images, nodes, pins, ill):
    first, second, third, *_ = images
    good = [images[first], images[second]]
    before = listed(images, first, second) + (f";{bad()}" if ill else "")
    with keeper(rules, IMAGES=before, DEPLOYMENT_NAME=deployment):
        pins.wait_for(good, nodes)
    pins.want(good)
    after = f"{before};{listed(images, third)}"
    with keeper(rules, IMAGES=after, DEPLOYMENT_NAME=deployment, CACHING_MEMORY_LIMIT="24Mi"):
        changed(namespace, pins, [*good, images[third]], nodes, ill=ill, rules=rules)
    assert pins.lost() == {}


@pytest.mark.parametrize("lives", range(MOST_WRITES))
def test_a_keeper_killed_at_any_step_of_a_change_loses_nothing(
    namespace, deployment, keeper, rules, images, nodes, pins, lives
):
    first, second, third, *_ = images
    good = [images[first], images[second]]
    before = f"{listed(images, first, second)};{bad()}"
    with keeper(rules, IMAGES=before, DEPLOYMENT_NAME=deployment) as it:
        pins.wait_for(good, nodes)
    pins.want(good)
    values = {**it.values, "NAMESPACE": namespace, "IMAGES": f"{before};{listed(images, third)}"}
    reconcile_until_killed(it.kubeconfig, values, lives, seconds=20)
    with keeper(rules, IMAGES=values["IMAGES"], DEPLOYMENT_NAME=deployment):
        changed(namespace, pins, [*good, images[third]], nodes, ill=True, rules=rules)
    assert pins.lost() == {}


@pytest.mark.parametrize("ill", [False, True], ids=["good", "ill"])
@pytest.mark.parametrize("lives", [9, 2], ids=["to the end", "killed after the orphaning"])
def test_upstreams_cache_is_taken_over_without_a_gap(
    namespace, deployment, keeper, rules, images, nodes, pins, ill, lives
):
    first, second, *_ = images
    theirs = upstream_cache(namespace, deployment, images[first])
    if ill:
        pod = theirs["spec"]["template"]["spec"]
        pod["containers"].append({**pod["containers"][0], "name": "gone", "image": bad().partition("=")[2]})
    kubectl("create", "-f", "-", text=json.dumps(theirs))
    pins.wait_for([images[first]], nodes)
    pins.want([images[first]])
    ours = listed(images, first, second) + (f";{bad()}" if ill else "")
    it = keeper(rules, IMAGES=ours, DEPLOYMENT_NAME=deployment)
    reconcile_until_killed(it.kubeconfig, {**it.values, "NAMESPACE": namespace}, lives, seconds=20)
    with it:
        changed(namespace, pins, [images[first], images[second]], nodes, ill=ill, rules=rules)
    strays = [pod for pod in get("pods", namespace=namespace) if not pod["metadata"].get("ownerReferences")]
    assert (pins.lost(), strays) == ({}, [])


def test_a_renamed_cache_moves_without_a_gap(namespace, deployment, keeper, rules, images, nodes, pins):
    first, second, *_ = images
    good = [images[first], images[second]]
    ours = listed(images, first, second)
    with keeper(rules, IMAGES=ours, DEPLOYMENT_NAME=deployment):
        pins.wait_for(good, nodes)
    pins.want(good)
    with keeper(rules, IMAGES=ours, DEPLOYMENT_NAME=deployment, DAEMONSET_NAME="renamed"):
        eventually(lambda: settled(namespace, "renamed"), "the end of the move", seconds=90)
        pins.wait_for(good, nodes)
    assert pins.lost() == {}


@pytest.fixture
def elsewhere(namespace, rules):
    """Another namespace in which the keeper has the same rights."""
    name = new_namespace(f"{namespace}-b")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "keeper", "namespace": name}}
    subject = {"kind": "ServiceAccount", "name": "keeper", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "keeper"}
    apply(
        {**role, "kind": "Role", "rules": rules},
        {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_cache_moves_to_another_namespace_without_a_gap(
    namespace, elsewhere, deployment, keeper, rules, images, nodes
):
    first, second, *_ = images
    good = [images[first], images[second]]
    ours = listed(images, first, second)
    with witness(namespace, elsewhere) as pins:
        with keeper(rules, IMAGES=ours, DEPLOYMENT_NAME=deployment):
            pins.wait_for(good, nodes)
        pins.want(good)
        with keeper(rules, IMAGES=ours, DEPLOYMENT_NAME=deployment, NAMESPACE=elsewhere):
            eventually(lambda: daemonsets(namespace) == [], "the end of the move", seconds=90)
            assert daemonsets(elsewhere) == [NAME]
        assert pins.lost() == {}


@pytest.mark.alone
@pytest.mark.parametrize("ill", [False, True], ids=["good", "ill"])
def test_a_registry_that_is_away_during_a_refresh_costs_no_pin(
    namespace, deployment, keeper, rules, images, nodes, pins, ill
):
    first, second, *_ = images
    good = [images[first], images[second]]
    ours = listed(images, first, second) + (f";{bad()}" if ill else "")
    # REFRESH=always rolls without asking; IMAGE_PULL_POLICY=Always makes each new container ask the registry.
    values = {
        "IMAGES": ours,
        "DEPLOYMENT_NAME": deployment,
        "REFRESH": "always",
        "IMAGE_PULL_POLICY": "Always",
    }
    with keeper(rules, **values):
        pins.wait_for(good, nodes)
    pins.want(good)
    hack("cluster", "registry", "stop")
    try:
        with keeper(rules, **values, CACHING_MEMORY_LIMIT="24Mi") as it:
            eventually(
                lambda: any(
                    "apply" in line["plan"] or "replace" in line["plan"]
                    for line in it.events("reconcile_done")
                ),
                "the roll",
                seconds=90,
            )
            eventually(lambda: waiting(namespace), "new pods that cannot pull", seconds=60)
            hack("cluster", "registry", "start")
            changed(namespace, pins, good, nodes, ill=ill, rules=rules)
    finally:
        hack("cluster", "registry", "start")
    assert pins.lost() == {}


@pytest.mark.alone
def test_a_change_waits_for_its_net_while_the_controllers_are_away(
    namespace, deployment, keeper, images, nodes, pins
):
    first, second, *_ = images
    ours = f"{bad()};{listed(images, first)}"
    with keeper(UPSTREAM_RULES, IMAGES=ours, DEPLOYMENT_NAME=deployment):
        pins.wait_for([images[first]], nodes)
    pins.want([images[first]])
    hack("cluster", "controllers", "stop")
    try:
        with keeper(UPSTREAM_RULES, IMAGES=f"{ours};{listed(images, second)}", DEPLOYMENT_NAME=deployment):
            # Longer than a net without news is waited for, where there is one to make its pods.
            later = time.monotonic() + 60
            eventually(lambda: time.monotonic() > later, "the end of a minute", seconds=61)
            hack("cluster", "controllers", "start")
            pins.wait_for([images[first], images[second]], nodes, seconds=120)
    finally:
        hack("cluster", "controllers", "start")
    assert pins.lost() == {}


def waiting(namespace: str) -> bool:
    return any(
        (status["state"].get("waiting") or {}).get("reason") in {"ErrImagePull", "ImagePullBackOff"}
        for pod in get("pods", namespace=namespace)
        for status in pod["status"].get("containerStatuses", ())
    )


def test_restarts_and_kills_of_the_keeper_cost_no_pin(
    namespace, deployment, keeper, rules, images, nodes, pins
):
    first, second, *_ = images
    good = [images[first], images[second]]
    values = {"IMAGES": listed(images, first, second), "DEPLOYMENT_NAME": deployment}
    with keeper(rules, **values):
        pins.wait_for(good, nodes)
    pins.want(good)
    uids = {pod["metadata"]["uid"] for pod in get("pods", namespace=namespace)}
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        with keeper(rules, **values) as it:
            eventually(lambda it=it: it.events("reconcile_done"), "a reconcile")
            it.stop(number)
    assert (pins.lost(), {pod["metadata"]["uid"] for pod in get("pods", namespace=namespace)}) == ({}, uids)


def test_two_keepers_with_different_settings_do_not_take_turns(
    namespace, deployment, keeper, rules, images, nodes, pins
):
    first, second, third, *_ = images
    good = [images[first], images[second]]
    older = keeper(rules, IMAGES=listed(images, first, second), DEPLOYMENT_NAME=deployment, POD_NAME="older")
    newer = keeper(
        rules, IMAGES=listed(images, first, second, third), DEPLOYMENT_NAME=deployment, POD_NAME="newer"
    )
    with older:
        pins.wait_for(good, nodes)
        pins.want(good)
        with newer:
            if rules == KIP_RULES:  # by its Lease, the older one keeps the cache until it ends
                eventually(lambda: newer.events("lease_waiting"), "a newer keeper that stands by")
                older.stop()
            pins.wait_for([images[third]], nodes)
            eventually(lambda: settled(namespace), "the end of the change", seconds=90)
            before = get("daemonset", NAME, namespace=namespace)["metadata"]["generation"]
            kubectl("-n", namespace, "annotate", "daemonset", NAME, "look=again")
            eventually(
                lambda: rules == KIP_RULES or older.events("reconcile_done")[-1].get("pending"), "patience"
            )
            after = get("daemonset", NAME, namespace=namespace)["metadata"]["generation"]
    assert (pins.lost(), after) == ({}, before)


def test_a_limited_cache_fills_one_node_at_a_time(namespace, deployment, keeper, rules, nodes, pins):
    fresh = [fresh_image(10_000_000) for _ in range(3)]
    with keeper(rules, IMAGES=";".join(fresh), DEPLOYMENT_NAME=deployment, MAX_SURGE="1"):
        pins.wait_for(fresh, nodes, seconds=240)
    pullers = [client for client, _ in groupby(request["client"] for request in pulls(fresh))]
    assert sorted(pullers) == sorted(nodes)


def test_an_edit_of_a_limited_cache_is_pulled_by_one_node_at_a_time(
    namespace, deployment, keeper, rules, images, nodes, pins
):
    first, *_ = images
    values = {"DEPLOYMENT_NAME": deployment, "MAX_SURGE": "1"}
    ours = f"{listed(images, first)};{bad()}"  # no pod is Ready, which the controller takes for a licence
    with keeper(KIP_RULES, IMAGES=ours, **values):
        pins.wait_for([images[first]], nodes, seconds=120)
    pins.want([images[first]])
    fresh = [fresh_image(10_000_000) for _ in range(3)]
    with keeper(KIP_RULES, IMAGES=f"{ours};{';'.join(fresh)}", **values):
        pins.wait_for(fresh, nodes, seconds=240)
    pullers = [client for client, _ in groupby(request["client"] for request in pulls(fresh))]
    assert (pins.lost(), sorted(pullers)) == ({}, sorted(nodes))


def pulls(references: list[str]) -> list[dict]:
    """Return the requests of nodes for these images, in the order in which the registry saw them."""
    names = {reference.partition("/")[2].rpartition(":")[0] for reference in references}
    found = json.loads(hack("cluster", "registry", "log", "-o", "json"))
    return [one for one in found if one["name"] in names and one["client"].startswith("node")]


@pytest.mark.parametrize("kind", ILLS)
def test_one_ill_image_hinders_no_other_whatever_ails_it(
    namespace, deployment, keeper, images, nodes, pins, kind
):
    first, second, *_ = images
    ours = f"ill={ill_image(kind)};{listed(images, first)}"
    with keeper(KIP_RULES, IMAGES=ours, DEPLOYMENT_NAME=deployment):
        pins.wait_for([images[first]], nodes)
        pins.want([images[first]])
    with keeper(KIP_RULES, IMAGES=f"{ours};{listed(images, second)}", DEPLOYMENT_NAME=deployment):
        pins.wait_for([images[first], images[second]], nodes)
    assert pins.lost() == {}


def test_a_limit_range_that_asks_for_requests_costs_no_pin(
    namespace, deployment, keeper, images, nodes, pins
):
    least = {"type": "Container", "min": {"cpu": "10m", "memory": "4Mi"}}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": [least]}}
    apply({**limits, "metadata": {"name": "least", "namespace": namespace}})
    first, second, *_ = images
    ours = f"{bad()};{listed(images, first)}"
    with keeper(KIP_RULES, IMAGES=ours, DEPLOYMENT_NAME=deployment):
        pins.wait_for([images[first]], nodes)
        pins.want([images[first]])
    with keeper(KIP_RULES, IMAGES=f"{ours};{listed(images, second)}", DEPLOYMENT_NAME=deployment):
        pins.wait_for([images[first], images[second]], nodes)
    assert pins.lost() == {}


def test_containers_that_die_at_their_start_cost_no_pin(namespace, deployment, keeper, images, nodes, pins):
    first, second, *_ = images
    values = {"IMAGES": listed(images, first, second), "DEPLOYMENT_NAME": deployment}
    with keeper(KIP_RULES, **values):
        pins.wait_for([images[first], images[second]], nodes)
    pins.want([images[first], images[second]])
    with keeper(KIP_RULES, **values, CACHING_MEMORY_REQUEST="4Ki", CACHING_MEMORY_LIMIT="8Ki"):
        eventually(lambda: len(unready(namespace)) == len(nodes), "new pods that cannot start", seconds=60)
    with keeper(KIP_RULES, **values):
        eventually(lambda: settled(namespace) and not unready(namespace), "the cure", seconds=120)
    assert pins.lost() == {}


def unready(namespace: str) -> list[dict]:
    """Return the pods that are not Ready, old ones beside new ones included."""
    return [
        pod
        for pod in get("pods", namespace=namespace)
        if ("Ready", "True") not in {(item["type"], item["status"]) for item in pod["status"]["conditions"]}
    ]


def test_a_refresh_of_tags_that_did_not_move_rolls_nothing(namespace, deployment, keeper, rules, nodes, pins):
    image, blind = moving_image(), rules == UPSTREAM_RULES
    values = {"IMAGES": f"a={image}", "DEPLOYMENT_NAME": deployment, "CACHING_INTERVAL_HOURS": "1m"}
    with keeper(rules, **values, INSECURE_REGISTRIES=registry()) as it:
        pins.wait_for([image], nodes)
        pins.want([image])
        if blind:  # it may not see what runs: one refresh tells it what the digest is
            eventually(lambda: settled(namespace) and refreshed(namespace), "a first refresh", seconds=100)
            eventually(lambda: len(get("pods", namespace=namespace)) == len(nodes), "its end")
        uids = {pod["metadata"]["uid"] for pod in get("pods", namespace=namespace)}
        eventually(lambda: it.events("refresh_not_needed"), "a refresh that is not needed", seconds=150)
        same = {pod["metadata"]["uid"] for pod in get("pods", namespace=namespace)} == uids
        move_tag(image)
        eventually(lambda: len(it.events("refresh_begins")) > blind, "a refresh", seconds=150)
        eventually(lambda: settled(namespace), "its end")
    assert (pins.lost(), same) == ({}, True)


@pytest.mark.parametrize("budget", ["1", "50%"])
def test_a_bad_image_does_not_use_up_the_limit(namespace, deployment, keeper, images, nodes, pins, budget):
    first, second, third, *_ = images
    ours = f"{bad()};{listed(images, first, second)}"
    values = {"DEPLOYMENT_NAME": deployment, "MAX_SURGE": budget}
    with keeper(KIP_RULES, IMAGES=ours, **values):
        pins.wait_for([images[first], images[second]], nodes, seconds=120)
    pins.want([images[first], images[second]])
    with keeper(KIP_RULES, IMAGES=f"{ours};{listed(images, third)}", **values):
        pins.wait_for([images[first], images[second], images[third]], nodes, seconds=180)
        # Holders stay beside pods that are not Ready, but no net does.
        eventually(lambda: daemonsets(namespace) == [NAME], "the end of the net", seconds=120)
    assert pins.lost() == {}
