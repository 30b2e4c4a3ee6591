"""The guide for those who come from upstream: its commands, taken from the page, and a cache like theirs."""

import json
import os
import re
import shlex
import threading

import pytest
from images import fresh_image
from operator_objects import NAME, Puller
from pins import witness
from realcluster import TOP, apply, command, eventually, get, kubectl, nodes, registry, running_containers
from upstream import upstream_cache, upstream_chart, upstream_deployment, upstream_templates

GUIDE = TOP / "docs/coming-from-kubernetes-image-puller.md"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "kubernetesimagepullers.che.eclipse.org"},
    "spec": {
        "group": "che.eclipse.org",
        "scope": "Namespaced",
        "names": {
            "kind": "KubernetesImagePuller",
            "plural": "kubernetesimagepullers",
            "singular": "kubernetesimagepuller",
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


def blocks(marker: str) -> str:
    """Return the commands of the guide under that marker."""
    found = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found
    return "".join(found)


@pytest.fixture
def follow(namespace, tmp_path):
    """Follow the guide: run the commands under a marker, as a person would."""
    tools = tmp_path / "tools"
    tools.mkdir()
    # oc is kubectl, and has templates processed.
    oc = tools / "oc"
    oc.write_text(
        '#!/bin/sh\nif [ "$1" = process ]; then shift; exec template-process "$@"; fi\nexec kubectl "$@"\n',
        "utf-8",
    )
    oc.chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "NAMESPACE": namespace,
        "KIP": f"{registry()}/kip",
        "TAG": "dev",
        "PULLER": "image-puller",
        "UPSTREAM": str(tmp_path / "upstream"),
    }

    def run(marker: str) -> None:
        command("bash", "-euo", "pipefail", "-c", blocks(marker), **environment)

    return run


@pytest.fixture
def puller(namespace) -> Puller:
    """What runs before: upstream's objects, with a stand-in of its process, and the cache that it made."""
    image = fresh_image()
    puller = Puller(namespace, f"{registry()}/kip:dev", f"old={image}")
    apply(*puller.rights(), puller.configmap())
    kubectl(
        "-n", namespace, "apply", "-f", "-", text=json.dumps(upstream_deployment(namespace, puller.image))
    )
    kubectl("create", "-f", "-", text=json.dumps(upstream_cache(namespace, NAME, image)))
    everywhere(namespace, "old")
    kubectl("-n", namespace, "rollout", "status", f"deployment/{NAME}", "--timeout=180s")
    return puller


def everywhere(namespace: str, *names: str) -> None:
    wanted = {(node, name) for node in nodes() for name in names}
    eventually(lambda: wanted <= running_containers(namespace), f"{names} on all nodes", seconds=240)


def keeper_image(namespace: str) -> str:
    spec = get("deployment", NAME, namespace=namespace)["spec"]["template"]["spec"]
    return spec["containers"][0]["image"]


def taken_over(namespace: str) -> None:
    """Wait until the cache has the shape that kip gives it."""
    eventually(lambda: is_kips(get("daemonset", NAME, namespace=namespace)), "a cache of kip's", seconds=240)


def is_kips(daemonset) -> bool:
    annotations = ((daemonset or {}).get("spec", {}).get("template", {}).get("metadata", {})).get(
        "annotations"
    )
    return "kip.dev/template" in (annotations or {})


def test_from_the_templates_without_losing_a_pin_and_back(follow, puller, namespace, tmp_path):
    image = puller.images.partition("=")[2]
    with witness(namespace) as pins:
        pins.wait_for([image], nodes())
        pins.want([image])
        follow("test: templates")
        taken_over(namespace)
        pins.wait_for([image], nodes(), seconds=240)
        lost = pins.lost()
    assert lost == {}

    upstream_templates(tmp_path / "upstream/deploy/openshift")
    follow("test: templates back")
    pod = get("deployment", NAME, namespace=namespace)["spec"]["template"]["spec"]["containers"][0]
    assert "readinessProbe" not in pod
    assert pod["image"] == "quay.io/eclipse/kubernetes-image-puller:next"
    assert get("daemonset", NAME, namespace=namespace), "the cache for kubernetes-image-puller to find"


@pytest.fixture
def operator(puller):
    """Stand in for upstream's operator: it sees to the objects of the one resource."""
    kubectl("apply", "-f", "-", text=json.dumps(CRD))
    kubectl("wait", "--for=condition=Established", f"crd/{CRD['metadata']['name']}")
    resource = {
        "apiVersion": "che.eclipse.org/v1alpha1",
        "kind": "KubernetesImagePuller",
        "metadata": {"name": "image-puller", "namespace": puller.namespace},
        "spec": {"imagePullerImage": ""},
    }
    apply(resource)
    ended = threading.Event()

    def reconcile() -> None:
        while not ended.wait(1):
            wanted = get("kubernetesimagepuller", "image-puller", namespace=puller.namespace)
            image = wanted["spec"]["imagePullerImage"]
            if image and (is_stand_in(puller.namespace) or keeper_image(puller.namespace) != image):
                Puller(puller.namespace, image, puller.images).change_image()
            elif not image and not is_stand_in(puller.namespace):
                apply(upstream_deployment(puller.namespace, puller.image))

    thread = threading.Thread(target=reconcile)
    thread.start()
    yield
    ended.set()
    thread.join()
    kubectl("delete", "crd", CRD["metadata"]["name"], "--wait=false")


def is_stand_in(namespace: str) -> bool:
    spec = get("deployment", NAME, namespace=namespace)["spec"]["template"]["spec"]
    return "command" in spec["containers"][0]


def test_under_the_operator_and_back(follow, operator, puller, namespace):
    image = puller.images.partition("=")[2]
    with witness(namespace) as pins:
        pins.wait_for([image], nodes())
        pins.want([image])
        follow("test: operator")
        taken_over(namespace)
        kubectl("-n", namespace, "rollout", "status", f"deployment/{NAME}", "--timeout=180s")
        pins.wait_for([image], nodes(), seconds=240)
        lost = pins.lost()
    # The old process took its cache along, which nobody can prevent there.
    assert all(seconds < 60 for by_node in lost.values() for seconds in by_node.values()), lost

    follow("test: operator back")
    eventually(lambda: is_stand_in(namespace), "the operator's own image again", seconds=30)
    assert get("roles", namespace=namespace, labels="app!=kubernetes-image-puller") == []


def test_the_old_process_would_take_its_cache_along_so_the_first_command_counts(puller, namespace):
    kubectl("-n", namespace, "scale", f"deployment/{NAME}", "--replicas=0")
    assert eventually(lambda: not get("daemonsets", namespace=namespace), "the end of the cache", seconds=120)


def test_from_the_chart_without_losing_a_pin_and_back(follow, namespace, tmp_path):
    image = fresh_image()
    chart = upstream_chart(tmp_path / "chart", f"{registry()}/kip:dev")
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"configMap": {"images": f"old={image}"}}), "utf-8")
    command("helm", "install", NAME, str(chart), "-n", namespace, "-f", str(values), "--wait")
    kubectl("create", "-f", "-", text=json.dumps(upstream_cache(namespace, NAME, image)))
    before = keeper_image(namespace)
    with witness(namespace) as pins:
        pins.wait_for([image], nodes(), seconds=240)
        pins.want([image])
        follow("test: chart")
        taken_over(namespace)
        pins.wait_for([image], nodes(), seconds=240)
        lost = pins.lost()
    assert (lost, account_of_the_keeper(namespace)) == ({}, "kip")

    follow("test: chart back")
    assert (keeper_image(namespace), account_of_the_keeper(namespace)) == (before, "k8s-image-puller")


def account_of_the_keeper(namespace: str) -> str:
    """Return the ServiceAccount of the Deployment."""
    return get("deployment", NAME, namespace=namespace)["spec"]["template"]["spec"]["serviceAccountName"]


def test_every_command_of_the_guide_belongs_to_a_test():
    text = GUIDE.read_text("utf-8")
    marked = re.findall(r"<!-- test.*? -->\n```sh\n", text)
    assert len(marked) == text.count("```sh\n")


def test_the_guides_variables_are_those_that_it_uses():
    text = GUIDE.read_text("utf-8")
    used = set(re.findall(r'"?\$([A-Z]+)', "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))))
    (exports,) = re.findall(r"```\n(export .*?)```", text, re.DOTALL)
    assert {word.partition("=")[0] for word in shlex.split(exports, comments=True) if "=" in word} == used
