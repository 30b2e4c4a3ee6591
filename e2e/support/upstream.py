"""The cache as kubernetes-image-puller leaves it."""

from pathlib import Path

import yaml
from realcluster import UPSTREAM_RULES, get, registry

NAME = "kubernetes-image-puller"


def upstream_cache(namespace: str, owner: str, image: str) -> dict:
    """Return a cache as kubernetes-image-puller makes it, with a stand-in for its image."""
    labels = {"test": "daemonset-test", "app.kubernetes.io/name": "image-puller"}
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
    }
    mount = [{"name": "kip", "mountPath": "/kip"}]
    copy = {
        "name": "copy-sleep",
        "image": f"{registry()}/kip-sleep:dev",
        "imagePullPolicy": "Always",
        "command": ["/bin/sh"],
        "args": ["-c", "cp /bin/sleep /kip/sleep"],
        "securityContext": security,
        "volumeMounts": mount,
    }
    container = {
        "name": "old",
        "image": image,
        "imagePullPolicy": "Always",
        "command": ["/kip/sleep"],
        "args": ["720h"],
        "securityContext": security,
        "volumeMounts": mount,
    }
    uid = get("deployment", owner, namespace=namespace)["metadata"]["uid"]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": uid}],
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "name": "test-po"},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {"fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                    "initContainers": [copy],
                    "containers": [container],
                    "volumes": [{"name": "kip", "emptyDir": {"sizeLimit": "50Mi"}}],
                },
            },
        },
    }


_PROCESS = """
import os, signal, ssl, sys, urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

def leave(*_):
    server = os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
    path = f"/apis/apps/v1/namespaces/{os.environ['NAMESPACE']}/daemonsets/{os.environ['DAEMONSET_NAME']}"
    token = open(f"{ACCOUNT}/token").read()
    request = urllib.request.Request(
        f"https://{server}{path}?propagationPolicy=Foreground",
        method="DELETE",
        headers={"Authorization": f"Bearer {token}"},
    )
    urllib.request.urlopen(request, context=ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt"))
    sys.exit(0)

signal.signal(signal.SIGTERM, leave)
while True:
    signal.pause()
"""
"""What matters of upstream's process here: when it is ended it takes its DaemonSet along, if it may."""


def upstream_deployment(namespace: str, image: str) -> dict:
    """Return upstream's Deployment, with a stand-in of its process; `image` has Python."""
    labels = {"app": NAME}
    container = {
        "name": NAME,
        "image": image,
        "command": ["python3", "-c", _PROCESS],
        "env": [{"name": "DEPLOYMENT_NAME", "value": NAME}],
        "envFrom": [{"configMapRef": {"name": "k8s-image-puller"}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "serviceAccountName": "k8s-image-puller",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def upstream_templates(folder: Path) -> None:
    """Write templates that make what upstream's make, but for their parameters."""
    folder.mkdir(parents=True)
    deployment = upstream_deployment("", "quay.io/eclipse/kubernetes-image-puller:next")
    del deployment["metadata"]["namespace"]
    del deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "create-daemonset"},
        "rules": UPSTREAM_RULES,
    }
    for name, objects in {"serviceaccount": [role], "app": [deployment]}.items():
        template = {"apiVersion": "template.openshift.io/v1", "kind": "Template", "objects": objects}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(template), "utf-8")


def upstream_chart(folder: Path, image: str) -> Path:
    """Write a chart that makes what upstream's makes, whatever the values; its process is a stand-in."""
    deployment = upstream_deployment("", image)
    del deployment["metadata"]["namespace"]
    deployment["spec"] |= {"revisionHistoryLimit": 2, "strategy": {"type": "Recreate"}}
    other = {"metadata": {"name": "k8s-image-puller"}}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "Role", "name": "k8s-image-puller"}
    account = {"kind": "ServiceAccount", "name": "k8s-image-puller"}
    data = {"IMAGES": "none", "DAEMONSET_NAME": NAME, "NAMESPACE": "{{ .Release.Namespace }}"}
    objects = [
        {"apiVersion": "v1", "kind": "ServiceAccount", **other},
        {"apiVersion": "v1", "kind": "ConfigMap", **other, "data": data},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", **other, "rules": UPSTREAM_RULES},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", **other, "roleRef": role, "subjects": [account]},
        deployment,
    ]
    (folder / "templates").mkdir(parents=True)
    chart = {"apiVersion": "v2", "name": NAME, "version": "1.1.2"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart), "utf-8")
    (folder / "templates/all.yaml").write_text(yaml.safe_dump_all(objects), "utf-8")
    return folder
