"""The OpenShift templates, processed by OpenShift's own code, and run as its SCC lets them."""

import json

import pytest
from images import fresh_image
from openshift import (
    FIRST_ID,
    IDS,
    NAMES,
    TEMPLATES,
    apply_strictly,
    install,
    make_project,
    openshift,
    process,
)
from realcluster import (
    KIP_RULES,
    command,
    eventually,
    get,
    kubectl,
    namespace_for,
    nodes,
    registry,
    running_containers,
)

NAME = "kubernetes-image-puller"
IDENTITIES = range(FIRST_ID, FIRST_ID + IDS)
UPSTREAM = {
    "serviceaccount": {"SERVICEACCOUNT_NAME": "k8s-image-puller"},
    "configmap": {
        "DAEMONSET_NAME": NAME,
        "CACHING_INTERVAL_HOURS": "1",
        "NAMESPACE": "k8s-image-puller",
        "CACHING_MEMORY_REQUEST": "10Mi",
        "CACHING_MEMORY_LIMIT": "20Mi",
        "CACHING_CPU_REQUEST": ".05",
        "CACHING_CPU_LIMIT": ".2",
        "NODE_SELECTOR": "{}",
        "IMAGE_PULL_SECRETS": "",
        "AFFINITY": "{}",
        "KIP_IMAGE": "quay.io/eclipse/kubernetes-image-puller:next",
        "TOLERATIONS": "[]",
    },
    "app": {
        "DEPLOYMENT_NAME": NAME,
        "SERVICEACCOUNT_NAME": "k8s-image-puller",
        "IMAGE": "quay.io/eclipse/kubernetes-image-puller",
        "IMAGE_TAG": "next",
        "PRIORITY_CLASS_NAME": "",
        "DEPLOYMENT_CPU_REQUEST": "50m",
        "DEPLOYMENT_MEMORY_REQUEST": "64Mi",
        "DEPLOYMENT_CPU_LIMIT": "200m",
        "DEPLOYMENT_MEMORY_LIMIT": "256Mi",
    },
}
"""The parameters of upstream's templates with their defaults, but for IMAGES, which is a list."""


@pytest.fixture(scope="module")
def project(request):
    """A project of OpenShift, with kip in it by the templates."""
    with openshift(), namespace_for(request.node) as name:
        make_project(name)
        image = f"{registry()}/kip"
        install(
            name,
            NAMESPACE=name,
            IMAGES=f"one={fresh_image()};two={fresh_image()}",
            IMAGE=image,
            IMAGE_TAG="dev",
            KIP_IMAGE=f"{image}:dev",
        )
        kubectl("-n", name, "rollout", "status", f"deployment/{NAME}", "--timeout=240s")
        eventually(lambda: everywhere(name, "one", "two"), "a complete cache", seconds=240)
        yield name


def everywhere(namespace: str, *names: str) -> bool:
    return {(node, name) for node in nodes() for name in names} <= running_containers(namespace)


def users(pods) -> set[int]:
    """Return the users that the containers of these pods run as, says the runtime."""
    return {
        status["user"]["linux"]["uid"]
        for pod in pods
        for status in [*pod["status"]["containerStatuses"], *pod["status"].get("initContainerStatuses", ())]
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_what_the_api_server_knows_with_upstreams_parameters(namespace, name):
    template = TEMPLATES / f"{name}.yaml"
    plain = process(template)
    apply_strictly(namespace, plain)
    assert process(template, **UPSTREAM[name]) == plain


def test_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(AssertionError, match="unknown parameter name"):
        process(TEMPLATES / "app.yaml", IMAGETAG="dev")


@pytest.mark.alone
def test_the_keeper_runs_as_the_projects_user(project):
    pods = get("pods", namespace=project, labels=f"app={NAME}")
    assert users(pods) == {FIRST_ID}
    assert [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]] == [0]


@pytest.mark.alone
def test_the_cache_runs_as_the_projects_user_everywhere(project):
    pods = get("pods", namespace=project, labels="app.kubernetes.io/name=image-puller")
    assert (len(pods), users(pods)) == (len(nodes()), {FIRST_ID})
    assert {pod["spec"]["securityContext"]["fsGroup"] for pod in pods} <= set(IDENTITIES)


@pytest.mark.alone
def test_the_cache_asks_for_no_user_and_no_group(project):
    pod = get("daemonset", NAME, namespace=project)["spec"]["template"]["spec"]
    asked = [
        pod["securityContext"],
        *(c["securityContext"] for c in pod["initContainers"] + pod["containers"]),
    ]
    assert not {key for security in asked for key in security} & {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.alone
def test_an_edit_of_the_configmap_takes_effect_without_a_restart(project):
    before = get("pods", namespace=project, labels=f"app={NAME}")
    images = get("configmap", "k8s-image-puller", namespace=project)["data"]["IMAGES"]
    data = {"data": {"IMAGES": f"{images};three={fresh_image()}"}}
    kubectl("-n", project, "patch", "configmap", "k8s-image-puller", "-p", json.dumps(data))
    eventually(lambda: everywhere(project, "one", "two", "three"), "the third image", seconds=180)
    after = get("pods", namespace=project, labels=f"app={NAME}")
    assert [pod["metadata"]["uid"] for pod in after] == [pod["metadata"]["uid"] for pod in before]


@pytest.mark.alone
def test_the_shape_for_kubernetes_is_refused_there_so_the_imitation_bites(project):
    settings = {"IMAGES": "one=none.invalid/one:1", "NAMESPACE": project, "PLATFORM": "kubernetes"}
    template = json.loads(command(".venv/bin/kip", "render", "-o", "json", **settings))["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "as-on-kubernetes"},
        "spec": template["spec"],
    }
    with pytest.raises(AssertionError, match="must be in the project's range"):
        kubectl("-n", project, "create", "--dry-run=server", "-f", "-", text=json.dumps(pod))


def test_the_templates_role_has_the_rights_of_kips_role():
    role = process(TEMPLATES / "serviceaccount.yaml")[0]
    assert rights(role["rules"]) == rights(KIP_RULES)


def rights(rules) -> set[tuple[str, str]]:
    return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
