"""No change lets go of a pin: measured by an independent observer, under both sets of rights."""

import json

import pytest
from pins import witness
from realcluster import eventually, get, hack, registry

NAME = "kubernetes-image-puller"
CONFIGMAP = "k8s-image-puller"


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Name to reference of small images in the registry."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    return {
        image["name"]: image["reference"]
        for image in found
        if "large" not in image["name"] and "debian" not in image["name"]
    }


@pytest.fixture
def nodes() -> list[str]:
    return [node["metadata"]["name"] for node in get("nodes")]


@pytest.fixture
def pins(namespace):
    with witness(namespace) as found:
        yield found


def listed(images: dict[str, str], *names: str) -> str:
    return ";".join(f"{name}={images[name]}" for name in names)


def bad() -> str:
    return f"gone={registry()}/demo/gone:1.0.0"


def daemonsets(namespace: str) -> list[str]:
    return [item["metadata"]["name"] for item in get("daemonsets", namespace=namespace)]


def settled(namespace: str) -> bool:
    """Whether only the cache is left, and every pod of its newest template stands where it should."""
    found = get("daemonset", NAME, namespace=namespace)
    if daemonsets(namespace) != [NAME]:
        return False
    status = found["status"]
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedNumberScheduled") == status["desiredNumberScheduled"]
    )


@pytest.mark.parametrize("ill", [False, True], ids=["all images good", "one image bad"])
@pytest.mark.parametrize("change", ["list", "setting"])
def test_an_edit_lets_go_of_nothing(namespace, deployment, keeper, rules, images, nodes, pins, ill, change):
    first, second, third, *_ = images
    good = [images[first], images[second]]
    before = listed(images, first, second) + (f";{bad()}" if ill else "")
    values = {"DEPLOYMENT_NAME": deployment}
    with keeper(rules, IMAGES=before, **values):
        pins.wait_for(good, nodes)
    pins.want(good)
    after = {"IMAGES": f"{before};{listed(images, third)}"} if change == "list" else {"IMAGES": before}
    if change == "setting":
        after["CACHING_MEMORY_LIMIT"] = "24Mi"
    with keeper(rules, **after, **values):
        if change == "list":
            pins.wait_for([images[third]], nodes)
        eventually(
            lambda: settled(namespace) or (ill and "KIP" not in rules), "the end of the roll", seconds=90
        )
    assert pins.lost() == {}
