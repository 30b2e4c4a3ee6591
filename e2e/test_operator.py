"""Under upstream's operator: its objects and its rights, and kip's image as the only change."""

from dataclasses import replace

import pytest
from images import fresh_image
from operator_objects import NAME, Puller
from pins import witness
from realcluster import eventually, get, kubectl, nodes, registry, running_containers

SMALL = {"requests": ("50m", "64Mi"), "limits": ("50m", "64Mi")}
ARBITRARY = 1000680000
KINDS = {"256Mi": {}, "64Mi": SMALL, "64Mi, arbitrary uid": {**SMALL, "uid": ARBITRARY}}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def puller(namespace, request) -> Puller:
    """The operator's resource; the image is the keeper's, also where the sleeper comes from."""
    images = f"one={fresh_image()};two={fresh_image()}"
    return Puller(namespace, f"{registry()}/kip:dev", images, **request.param)


def everywhere(namespace: str, *names: str) -> bool:
    return {(node, name) for node in nodes() for name in names} <= running_containers(namespace)


def keepers(namespace: str):
    """Return the keeper's pods that are not about to go."""
    found = get("pods", namespace=namespace, labels=f"app={NAME}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_it_does_the_base_job_and_survives_the_restart_after_an_edit(puller):
    namespace = puller.namespace
    before = [entry.partition("=")[2] for entry in puller.images.split(";")]
    with witness(namespace) as pins:
        puller.create()
        pins.wait_for(before, nodes(), seconds=240)
        pins.want(before)
        (old,) = keepers(namespace)

        third = fresh_image()
        replace(puller, images=f"{puller.images};three={third}").change()
        pins.wait_for([*before, third], nodes(), seconds=240)
        kubectl("-n", namespace, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        eventually(lambda: len(keepers(namespace)) == 1, "one keeper after the restart", seconds=60)
        lost = pins.lost()

    (new,) = keepers(namespace)
    assert lost == {}
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert [status["restartCount"] for status in new["status"]["containerStatuses"]] == [0]


def test_the_cache_goes_with_the_operators_resource(puller):
    puller.create()
    eventually(lambda: get("daemonset", NAME, namespace=puller.namespace), "the cache", seconds=180)
    # As the garbage collection does once the resource, which owns the Deployment, is deleted.
    kubectl("-n", puller.namespace, "delete", "deployment", NAME, "--cascade=background")
    assert eventually(
        lambda: not get("daemonsets", namespace=puller.namespace), "no DaemonSet any more", seconds=120
    )
