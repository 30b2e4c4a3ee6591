"""`kip wait` decides right on the real cluster: reached, failed, out of time, and after an edit."""

import json
import time

import pytest
from realcluster import CONFIGMAP, KIP, KIP_RULES, ended, eventually, get, hack, nodes, registry, write_list

NAME = "kubernetes-image-puller"


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Name to reference of the small images in the registry."""
    found = json.loads(hack("demo-images", "-o", "json"))["images"]
    small = [image for image in found if image["name"] in ("scratch", "volume", "entrypoint")]
    return {image["name"]: image["reference"] for image in small}


@pytest.fixture
def wait(namespace):
    """Run `kip wait` on the cache of the namespace; give exit code, output, errors and seconds."""

    def run(*arguments: str, **values: str) -> tuple[int, str, str, float]:
        began = time.monotonic()
        end = ended(str(KIP), "wait", "-n", namespace, *arguments, timeout=300, **values)
        return end.returncode, end.stdout, end.stderr, time.monotonic() - began

    return run


@pytest.fixture
def kept(namespace, deployment, keeper):
    """Make a keeper that takes its list from a ConfigMap."""

    def make(listed: dict[str, str]):
        write_list(namespace, listed)
        return keeper(KIP_RULES, CONFIGMAP_NAME=CONFIGMAP, DEPLOYMENT_NAME=deployment)

    return make


def gone() -> str:
    return f"{registry()}/demo/gone:1.0.0"


def test_a_cache_that_fills_is_waited_for(namespace, kept, images, wait):
    with kept(images):
        code, out, _, _ = wait("--timeout", "120s", "-o", "json")  # from before there is a DaemonSet
    document = json.loads(out)
    assert (code, document["complete"], document["wait"]["result"]) == (0, True, "reached")
    assert {cell["node"] for cell in document["cells"]} == set(nodes())


def test_an_image_that_does_not_exist_is_a_failure_at_once(namespace, kept, images, wait):
    with kept({**images, "gone": gone()}):
        code, out, _, seconds = wait("--timeout", "200s", "--fail-fast")
    assert (code, seconds < 100, "a retry does not cure gone" in out) == (3, True, True)
    assert "Next: kubectl" in out


def test_without_fail_fast_the_timeout_ends_it_and_says_what_is_missing_where(namespace, kept, images, wait):
    with kept({**images, "gone": gone()}):
        assert wait("--timeout", "120s", *(f"--image={name}" for name in images))[0] == 0
        code, out, _, seconds = wait("--timeout", "4s")
    assert (code, 4 <= seconds < 60) == (3, True)  # some of them are the start of a process
    assert all(node in out for node in nodes())
    assert "not found" in out


def test_an_edit_that_was_just_made_is_waited_for(namespace, kept, images, wait):
    (first, *_), values = images, {"CONFIGMAP_NAME": CONFIGMAP, "NAMESPACE": namespace}
    with kept({first: images[first]}) as it:
        assert wait("--timeout", "120s", **values)[0] == 0
        it.stop()
        write_list(namespace, images)
        code, out, _, _ = wait("--timeout", "3s", **values)
    assert (code, "an edit of IMAGES is not yet taken" in out) == (3, True)
    with kept(images):
        code, out, _, _ = wait("--timeout", "120s", "-o", "json", **values)
    assert (code, [image["name"] for image in json.loads(out)["images"]]) == (0, list(images))


def test_an_image_that_is_not_listed_is_an_error_that_names_the_list(namespace, kept, images, wait):
    with kept(images):
        eventually(lambda: get("daemonset", NAME, namespace=namespace), "a cache")
        code, _, errors, _ = wait("--timeout", "60s", "--image", "nowhere.example/other:1")
    assert (code, all(reference in errors for reference in images.values())) == (1, True)


def test_some_nodes_can_be_chosen_by_their_labels(namespace, kept, images, wait, tainted):
    node = nodes()[0]
    both = f"kubernetes.io/hostname in ({node},{tainted})"
    with kept(images):
        code, out, _, _ = wait("--timeout", "120s", "--nodes", f"kubernetes.io/hostname={node}")
        none, said, _, _ = wait("--timeout", "2s", "--nodes", "kubernetes.io/hostname=nowhere")
        half, why, _, _ = wait("--timeout", "60s", "--fail-fast", "--nodes", both)
    assert (code, f"{len(images)} of {len(images)} images on 1 nodes" in out) == (0, True)
    assert (none, "no node matches" in said) == (3, True)
    assert (half, f"on {tainted}: UntoleratedTaint: {tainted}=yes:NoSchedule" in why) == (3, True)


def test_without_rights_it_says_so(namespace, kept, images, wait):
    with kept(images) as it:
        eventually(lambda: get("daemonset", NAME, namespace=namespace), "a cache")
        found = wait("--kubeconfig", str(it.kubeconfig), "--nodes", "pool=a", "--timeout", "60s")
        elsewhere = wait("--kubeconfig", str(it.kubeconfig), "-n", "kube-system", "--timeout", "60s")
    assert (found[0], "--nodes needs the right to list nodes" in found[2]) == (4, True)
    assert elsewhere[0] == 4
