"""What upstream's operator makes for its one resource, object by object, and how it reacts to a change."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from realcluster import apply

NAME = "kubernetes-image-puller"
ACCOUNT = CONFIGMAP = "k8s-image-puller"
_LABELS = {"app": NAME}
_VERBS = ["create", "delete", "list", "watch", "get"]


@dataclass(frozen=True)
class Puller:
    """A KubernetesImagePuller of the operator, with what the operator decides by the platform.

    `uid` 0 leaves the user to the cluster, as the operator does on OpenShift.
    """

    namespace: str
    image: str
    images: str
    uid: int = 65532
    requests: tuple[str, str] = ("50m", "64Mi")
    limits: tuple[str, str] = ("200m", "256Mi")

    def configmap(self) -> dict[str, Any]:
        """Return its ConfigMap of 13 keys."""
        data = {
            "DAEMONSET_NAME": NAME,
            "IMAGES": self.images,
            "CACHING_INTERVAL_HOURS": "1",
            "CACHING_MEMORY_REQUEST": "10Mi",
            "CACHING_MEMORY_LIMIT": "20Mi",
            "CACHING_CPU_REQUEST": ".05",
            "CACHING_CPU_LIMIT": ".2",
            "NODE_SELECTOR": "{}",
            "IMAGE_PULL_SECRETS": "",
            "AFFINITY": "{}",
            "TOLERATIONS": "[]",
            "KIP_IMAGE": self.image,
            "NAMESPACE": self.namespace,
        }
        return {**self._head("v1", "ConfigMap", CONFIGMAP), "data": data}

    def deployment(self, *, with_hash: bool = False) -> dict[str, Any]:
        """Return its Deployment; a change of the ConfigMap puts the ConfigMap's hash on the pods."""
        template: dict[str, Any] = {"metadata": {"labels": _LABELS}, "spec": self._pod()}
        if with_hash:
            digest = hashlib.sha256(json.dumps(self.configmap()["data"], sort_keys=True).encode()).hexdigest()
            template["metadata"]["annotations"] = {"che.eclipse.org/configmap-hash": digest}
        spec = {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}
        return {**self._head("apps/v1", "Deployment", NAME), "spec": spec}

    def rights(self) -> list[dict[str, Any]]:
        """Return its ServiceAccount, Role and RoleBinding."""
        group = "rbac.authorization.k8s.io"
        rule = {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": _VERBS}
        return [
            self._head("v1", "ServiceAccount", ACCOUNT),
            {**self._head(f"{group}/v1", "Role", "create-daemonset"), "rules": [rule]},
            {
                **self._head(f"{group}/v1", "RoleBinding", "create-daemonset"),
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "create-daemonset"},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}],
            },
        ]

    def create(self) -> None:
        """Do what the operator does for a new resource."""
        apply(*self.rights(), self.configmap(), self.deployment())

    def change(self) -> None:
        """Do what it does when the ConfigMap has to change: that, and a rolling restart."""
        apply(self.configmap(), self.deployment(with_hash=True))

    def change_image(self) -> None:
        """Do what it does for another image: KIP_IMAGE in the ConfigMap first, then the Deployment anew."""
        self.change()
        apply(self.deployment())

    def _head(self, version: str, kind: str, name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace, "labels": _LABELS}
        return {"apiVersion": version, "kind": kind, "metadata": metadata}

    def _pod(self) -> dict[str, Any]:
        user = {"runAsUser": self.uid, "runAsGroup": self.uid} if self.uid else {}
        security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        return {
            "serviceAccountName": ACCOUNT,
            "securityContext": {**security, **({"fsGroup": self.uid} if self.uid else {})},
            "containers": [
                {
                    "name": NAME,
                    "image": self.image,
                    "env": [{"name": "DEPLOYMENT_NAME", "value": NAME}],
                    "envFrom": [{"configMapRef": {"name": CONFIGMAP}}],
                    "resources": {
                        "requests": dict(zip(("cpu", "memory"), self.requests, strict=True)),
                        "limits": dict(zip(("cpu", "memory"), self.limits, strict=True)),
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                        **user,
                    },
                }
            ],
        }
