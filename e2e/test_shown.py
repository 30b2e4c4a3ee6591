"""Whatever keeps an image from a node is seen in status, metrics, Events and page, and so is its end."""

import pytest
from images import fresh_image, ill_image
from realcluster import CONFIGMAP, KIP_RULES, apply, eventually, get, kubectl, write_list
from surfaces import Surfaces, sees, sees_the_cure


@pytest.fixture
def shown(namespace, deployment, keeper, port):
    """Run a keeper with a good image and the ill one, or with other settings; give what it shows."""
    with keeper(
        KIP_RULES,
        CONFIGMAP_NAME=CONFIGMAP,
        DEPLOYMENT_NAME=deployment,
        HTTP_ADDRESS=f"127.0.0.1:{port}",
    ):
        yield Surfaces(namespace, port)


@pytest.mark.parametrize(
    ("ill", "words", "remedy"),
    [
        ("unknown tag", "not found", "Correct the reference in IMAGES"),
        ("other architecture", "no match for platform", "for this node's machine"),
        ("refused credentials", "authorization failed", "IMAGE_PULL_SECRETS"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_seen_everywhere_and_so_is_its_cure(
    namespace, shown, ill, words, remedy
):
    good = fresh_image()
    write_list(namespace, {"good": good, "bad": ill_image(ill)})
    sees(shown, words, remedy)
    code, out = shown.wait("--fail-fast", "--timeout", "120s")
    assert (code, "a retry does not cure bad" in out, remedy in out) == (3, True, True)
    assert shown.wait("--image", "good", "--timeout", "60s")[0] == 0

    write_list(namespace, {"good": good, "bad": fresh_image()})
    sees_the_cure(shown, words)
    assert shown.wait("--timeout", "60s")[0] == 0


def test_a_container_without_memory_is_seen_everywhere_and_so_is_its_cure(namespace, shown):
    images = {"good": fresh_image(), "bad": fresh_image()}
    limits = {"CACHING_MEMORY_REQUEST": "1Ki", "CACHING_MEMORY_LIMIT": "1Ki"}
    write_list(namespace, images, **limits)
    sees(shown, "memory", "Raise CACHING_MEMORY_LIMIT")
    code, out = shown.wait("--fail-fast", "--timeout", "120s")
    assert (code, "Raise CACHING_MEMORY_LIMIT" in out) == (3, True)

    write_list(namespace, images)
    sees_the_cure(shown, "memory")


def test_a_quota_is_seen_everywhere_and_so_is_its_end(namespace, shown):
    apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": namespace},
            "spec": {"hard": {"pods": "0"}},
        }
    )
    eventually(
        lambda: get("resourcequota", "none", namespace=namespace).get("status", {}).get("hard"), "the quota"
    )
    write_list(namespace, {"good": fresh_image(), "bad": fresh_image()})
    sees(shown, "exceeded quota", "Raise the quota", state="absent", reason="NodeNotServed")
    code, out = shown.wait("--fail-fast", "--timeout", "5s")
    assert (code, "exceeded quota" in out) == (3, True)

    kubectl("-n", namespace, "delete", "resourcequota", "none")
    sees_the_cure(shown, "exceeded quota", reason="NodeServed")
