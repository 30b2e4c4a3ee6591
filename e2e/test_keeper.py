"""A keeper against the real cluster: it makes, changes and repairs the cache, and nothing else."""

import json
import signal

import pytest
from realcluster import KIP_RULES, UPSTREAM_RULES, apply, eventually, get, hack, kubectl, nodes, registry
from upstream import upstream_cache

NAME = "kubernetes-image-puller"
POD_LABELS = "app.kubernetes.io/name=image-puller"


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Name to reference of the images in the registry."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {image["name"]: image["reference"] for image in found}


def written(images: dict[str, str], *names: str) -> str:
    return ";".join(f"{name}={images[name]}" for name in names)


def daemonset(namespace: str, name: str = NAME):
    return get("daemonset", name, namespace=namespace)


def containers(namespace: str) -> list[str]:
    found = daemonset(namespace)
    return [item["name"] for item in found["spec"]["template"]["spec"]["containers"]] if found else []


def complete(namespace: str):
    """Return the DaemonSet once all its pods run the newest template and are ready."""
    found = daemonset(namespace)
    if not found:
        return None
    status = found["status"]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    counts = {
        status.get(key, 0) for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady")
    }
    return found if current and len(counts) == 1 and counts != {0} else None


def pods(namespace: str):
    return get("pods", namespace=namespace, labels=POD_LABELS)


def test_every_image_runs_on_every_node(namespace, deployment, keeper, rules, images):
    some = [name for name in images if "large" not in name and "debian" not in name]
    with keeper(rules, IMAGES=written(images, *some), DEPLOYMENT_NAME=deployment):
        eventually(lambda: complete(namespace), "a complete cache", seconds=120)

    running = {
        (pod["spec"]["nodeName"], status["name"])
        for pod in pods(namespace)
        for status in pod["status"]["containerStatuses"]
        if "running" in status["state"]
    }
    assert running == {(node, name) for node in nodes() for name in some}


def test_a_cache_as_wanted_is_not_touched_again(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    values = {"IMAGES": written(images, first), "DEPLOYMENT_NAME": deployment}
    with keeper(rules, **values):
        before = eventually(lambda: complete(namespace), "a complete cache")
    with keeper(rules, **values) as again:
        eventually(lambda: again.events("reconcile_done"), "a reconcile")

    after = daemonset(namespace)
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (
        before["metadata"]["uid"],
        before["metadata"]["generation"],
    )


def test_a_deleted_cache_is_restored(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    with keeper(rules, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment):
        eventually(lambda: daemonset(namespace), "a cache")
        kubectl("-n", namespace, "delete", "daemonset", NAME)
        assert eventually(lambda: daemonset(namespace), "the cache again", seconds=10)


def test_a_hand_made_edit_is_undone(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    with keeper(rules, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment):
        eventually(lambda: daemonset(namespace), "a cache")
        stray = {"name": "stray", "image": images[first]}
        operation = [{"op": "add", "path": "/spec/template/spec/containers/-", "value": stray}]
        kubectl("-n", namespace, "patch", "daemonset", NAME, "--type=json", "-p", json.dumps(operation))
        assert eventually(lambda: containers(namespace) == [first], "the list as it was", seconds=15)


def test_an_edit_of_the_configmap_takes_effect_without_a_restart(namespace, deployment, keeper, images):
    first, second, *_ = images
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "k8s-image-puller"}}
    configmap["metadata"]["namespace"] = namespace
    apply(configmap | {"data": {"IMAGES": written(images, first)}})
    with keeper(KIP_RULES, CONFIGMAP_NAME="k8s-image-puller", DEPLOYMENT_NAME=deployment):
        eventually(lambda: containers(namespace) == [first], "the first list")
        apply(configmap | {"data": {"IMAGES": written(images, second, first)}})
        assert eventually(lambda: containers(namespace) == [second, first], "the second list", seconds=10)


def test_a_bad_edit_leaves_the_cache_as_it_is_and_a_good_one_heals(namespace, deployment, keeper, images):
    first, second, *_ = images
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "k8s-image-puller"}}
    configmap["metadata"]["namespace"] = namespace
    apply(configmap | {"data": {"IMAGES": written(images, first)}})
    with keeper(KIP_RULES, CONFIGMAP_NAME="k8s-image-puller", DEPLOYMENT_NAME=deployment) as it:
        before = eventually(lambda: daemonset(namespace), "a cache")
        apply(configmap | {"data": {"IMAGES": "=;=;", "CACHING_MEMORY_LIMIT": "20 MB"}})
        eventually(lambda: it.events("settings_refused"), "the refusal in the log", seconds=10)
        unchanged = daemonset(namespace)["metadata"]["generation"] == before["metadata"]["generation"]
        apply(configmap | {"data": {"IMAGES": written(images, second)}})
        healed = eventually(lambda: containers(namespace) == [second], "the corrected list", seconds=10)
    assert (unchanged, healed) == (True, True)


def test_a_due_refresh_rolls_the_pods_once(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    values = {"IMAGES": written(images, first), "DEPLOYMENT_NAME": deployment, "REFRESH": "always"}
    with keeper(rules, **values):
        before = eventually(lambda: complete(namespace), "a complete cache")
    names = {pod["metadata"]["name"] for pod in pods(namespace)}
    old = {
        "spec": {"template": {"metadata": {"annotations": {"kip.dev/refreshed-at": "2026-01-01T00:00:00Z"}}}}
    }
    kubectl("-n", namespace, "patch", "daemonset", NAME, "-p", json.dumps(old))
    with keeper(rules, **values):
        found = eventually(
            lambda: (now := complete(namespace)) and stamp(now) > "2026-06" and now, "a refreshed cache"
        )
    assert before["spec"]["template"] != found["spec"]["template"]
    assert not names & {pod["metadata"]["name"] for pod in pods(namespace)}


def stamp(found) -> str:
    return found["spec"]["template"]["metadata"].get("annotations", {}).get("kip.dev/refreshed-at", "")


def test_an_upstream_cache_is_taken_over_by_rolling_its_pods(namespace, deployment, keeper, rules, images):
    first, second, *_ = images
    kubectl("create", "-f", "-", text=json.dumps(upstream_cache(namespace, deployment, images[first])))
    eventually(lambda: complete(namespace), "upstream's cache")
    with keeper(rules, IMAGES=written(images, first, second), DEPLOYMENT_NAME=deployment):
        eventually(
            lambda: containers(namespace) == [first, second] and complete(namespace), "the cache taken over"
        )
    owners = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods(namespace)}
    assert owners == {daemonset(namespace)["metadata"]["uid"]}


def test_a_foreign_daemonset_is_left_alone(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    theirs = upstream_cache(namespace, deployment, images[first])
    labels = {"app": "theirs"}
    del theirs["metadata"]["ownerReferences"]
    theirs["spec"]["selector"]["matchLabels"] = theirs["spec"]["template"]["metadata"]["labels"] = labels
    kubectl("create", "-f", "-", text=json.dumps(theirs))
    before = daemonset(namespace)["metadata"]["generation"]
    with keeper(rules, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment) as it:
        failure = eventually(lambda: it.events("reconcile_failed"), "the refusal in the log")[0]
    assert "belongs to field manager kubectl" in failure["message"]
    assert daemonset(namespace)["metadata"]["generation"] == before


def test_sigterm_ends_the_keeper_and_leaves_the_cache(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    with keeper(rules, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment) as it:
        eventually(lambda: daemonset(namespace), "a cache")
        code = it.stop(signal.SIGTERM, seconds=5)
    assert (code, daemonset(namespace) is not None) == (0, True)


def test_scaling_the_deployment_to_zero_takes_the_cache_along(namespace, deployment, keeper, rules, images):
    first = next(iter(images))
    with keeper(rules, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment) as it:
        eventually(lambda: daemonset(namespace), "a cache")
        kubectl("-n", namespace, "scale", "deployment", deployment, "--replicas=0")
        it.stop(signal.SIGTERM, seconds=5)
    assert eventually(lambda: daemonset(namespace) is None, "the end of the cache", seconds=10)


def test_deleting_the_deployment_takes_the_cache_along(namespace, deployment, keeper, images):
    first = next(iter(images))
    with keeper(UPSTREAM_RULES, IMAGES=written(images, first), DEPLOYMENT_NAME=deployment) as it:
        eventually(lambda: daemonset(namespace), "a cache")
        it.stop()
    kubectl("-n", namespace, "delete", "deployment", deployment)
    assert eventually(lambda: daemonset(namespace) is None, "the end of the cache", seconds=30)


def test_an_image_that_does_not_exist_hinders_no_other(namespace, deployment, keeper, rules, images):
    first, second, *_ = images
    listed = f"gone={registry()}/demo/gone:1.0.0;{written(images, first, second)}"
    with keeper(rules, IMAGES=listed, DEPLOYMENT_NAME=deployment):
        everywhere = sorted([first, second] * len(nodes()))
        assert eventually(
            lambda: sorted(running(namespace)) == everywhere,
            "the good images on all nodes",
        )


def running(namespace: str) -> list[str]:
    return [
        status["name"]
        for pod in pods(namespace)
        for status in pod["status"].get("containerStatuses", ())
        if "running" in status["state"]
    ]
