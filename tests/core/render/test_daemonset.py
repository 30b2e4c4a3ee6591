"""The contract with upstream's users, line by line, and where kip's cache differs on purpose.

The lines are those of kubernetes-image-puller's DaemonSet; hack/update-golden shows whole manifests.
"""

import pytest
from samples import OWNER, manifest, settings

from kip.config.settings import Platform
from kip.core.render.daemonset import UPSTREAM_LABELS, render

IMAGES = "ide=registry.example/ide:next;tools=registry.example/tools:1.4.2"


def at(found, path: str):
    """Return what stands at a path such as `spec.template.spec.volumes.0.name`, None where nothing does."""
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else (found or {}).get(key)
    return found


POD = "spec.template.spec"
COPY = f"{POD}.initContainers.0"
FIRST = f"{POD}.containers.0"
RESOURCES = {"requests": {"cpu": ".05", "memory": "10Mi"}, "limits": {"cpu": ".2", "memory": "20Mi"}}
LOCKED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("apiVersion", "apps/v1"),
        ("kind", "DaemonSet"),
        ("metadata.name", "kubernetes-image-puller"),
        ("metadata.namespace", "images"),
        ("metadata.labels", None),
        ("metadata.annotations", None),
        (
            "metadata.ownerReferences",
            [{"apiVersion": "apps/v1", "kind": "Deployment", "name": OWNER.name, "uid": OWNER.uid}],
        ),
        (f"{POD}.securityContext.seccompProfile", {"type": "RuntimeDefault"}),
        (f"{POD}.securityContext.fsGroup", 65532),
        (f"{POD}.affinity", {}),
        (f"{POD}.tolerations", []),
        (f"{POD}.imagePullSecrets", []),
        (f"{POD}.terminationGracePeriodSeconds", 1),
        (f"{POD}.volumes", [{"name": "kip", "emptyDir": {"sizeLimit": "50Mi"}}]),
        (f"{POD}.priorityClassName", None),
        (f"{COPY}.name", "copy-sleep"),
        (f"{COPY}.image", "quay.io/eclipse/kubernetes-image-puller:next"),
        (f"{COPY}.command", ["/bin/sh"]),
        (f"{COPY}.args", ["-c", "cp /bin/sleep /kip/sleep"]),
        (f"{COPY}.volumeMounts", [{"name": "kip", "mountPath": "/kip"}]),
        (f"{COPY}.resources", RESOURCES),
        (
            f"{COPY}.securityContext",
            {**LOCKED, "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532},
        ),
        (f"{FIRST}.name", "ide"),
        (f"{FIRST}.image", "registry.example/ide:next"),
        (f"{FIRST}.imagePullPolicy", "Always"),
        (f"{FIRST}.command", ["/kip/sleep"]),
        (f"{FIRST}.args", ["720h"]),
        (f"{FIRST}.resources", RESOURCES),
        (f"{FIRST}.securityContext", LOCKED),
    ],
)
def test_the_cache_is_as_upstreams_users_know_it(path, value):
    assert at(manifest(IMAGES), path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(
            "spec.selector.matchLabels",
            {**UPSTREAM_LABELS, "app.kubernetes.io/instance": "kubernetes-image-puller"},
            id="an instance label keeps several caches of a namespace apart",
        ),
        pytest.param(
            "spec.updateStrategy",
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            id="new pods come before old ones go",
        ),
        pytest.param("spec.revisionHistoryLimit", 2, id="little history"),
        pytest.param(f"{POD}.automountServiceAccountToken", False, id="no token in third-party images"),
        pytest.param(f"{POD}.enableServiceLinks", False, id="no service links"),
        pytest.param(f"{POD}.nodeSelector", {"kubernetes.io/os": "linux"}, id="no Windows nodes"),
        pytest.param(f"{POD}.securityContext.runAsNonRoot", True, id="Pod Security restricted"),
        pytest.param(f"{POD}.securityContext.runAsUser", 65532, id="whatever USER an image has"),
        pytest.param(f"{COPY}.imagePullPolicy", "IfNotPresent", id="no registry needed for the sleeper"),
        pytest.param(f"{POD}.containers.1.imagePullPolicy", "IfNotPresent", id="a version is asked for once"),
        pytest.param(f"{FIRST}.workingDir", "/", id="whatever WORKDIR an image has"),
        pytest.param(
            f"{FIRST}.env", [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}], id="no NVIDIA hook"
        ),
        pytest.param(
            f"{FIRST}.volumeMounts",
            [{"name": "kip", "mountPath": "/kip", "readOnly": True}],
            id="nobody changes the sleeper",
        ),
    ],
)
def test_the_cache_differs_on_purpose(path, value):
    assert at(manifest(IMAGES), path) == value


def on_openshift() -> dict:
    return render(settings(IMAGES), platform=Platform.OPENSHIFT, owner=OWNER)


@pytest.mark.parametrize("field", ["runAsUser", "runAsGroup", "fsGroup"])
@pytest.mark.parametrize("place", [POD, COPY])
def test_on_openshift_the_platform_gives_the_ids(place, field):
    assert at(on_openshift(), f"{place}.securityContext.{field}") is None


@pytest.mark.parametrize(
    ("values", "path", "value"),
    [
        ({"DAEMONSET_ANNOTATIONS": "a=1"}, "metadata.annotations", {"a": "1"}),
        ({"DAEMONSET_ANNOTATIONS": "a=1"}, "spec.template.metadata.annotations.a", None),
        ({"DAEMONSET_NAME": "other"}, "metadata.name", "other"),
        ({"NAMESPACE": "elsewhere"}, "metadata.namespace", "elsewhere"),
        ({"NODE_SELECTOR": "a=b"}, f"{POD}.nodeSelector", {"kubernetes.io/os": "linux", "a": "b"}),
        ({"NODE_SELECTOR": "kubernetes.io/os=x"}, f"{POD}.nodeSelector", {"kubernetes.io/os": "x"}),
        ({"TOLERATIONS": '[{"operator":"Exists"}]'}, f"{POD}.tolerations", [{"operator": "Exists"}]),
        ({"IMAGE_PULL_SECRETS": "a;b"}, f"{POD}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
        ({"CACHING_PRIORITY_CLASS": "low"}, f"{POD}.priorityClassName", "low"),
        ({"KIP_IMAGE": "x:1"}, f"{COPY}.image", "x:1"),
        ({"IMAGE_PULL_POLICY": "Never"}, f"{FIRST}.imagePullPolicy", "Never"),
        ({"MAX_SURGE": "3"}, "spec.updateStrategy.rollingUpdate.maxSurge", 3),
        ({"CACHING_MEMORY_LIMIT": "0", "CACHING_CPU_LIMIT": "0"}, f"{FIRST}.resources.limits", None),
        ({"CACHING_CPU_REQUEST": "0"}, f"{FIRST}.resources.requests", {"memory": "10Mi"}),
    ],
)
def test_a_setting_arrives_where_it_belongs(values, path, value):
    assert at(manifest(IMAGES, **values), path) == value


def test_without_a_deployment_there_is_no_owner():
    assert at(manifest(IMAGES, owner=None), "metadata.ownerReferences") is None


def test_the_order_of_the_list_is_the_order_of_pulling():
    names = [item["name"] for item in at(manifest("c=x:1;a=y:1;b=z:1"), f"{POD}.containers")]
    assert names == ["c", "a", "b"]
