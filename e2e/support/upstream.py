"""The cache as kubernetes-image-puller leaves it."""

from realcluster import get, registry

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
