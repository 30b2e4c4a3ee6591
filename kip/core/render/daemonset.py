"""The cache that the settings ask for: one DaemonSet, the same bytes for the same settings.

The shape is upstream's (kubernetes-image-puller: names, labels, owner reference, commands), so that an
existing cache is taken over as it stands, with what upstream lacks: it passes Pod Security `restricted`,
carries no ServiceAccount token into third-party images, and rolls with a surge instead of being deleted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kip.config.images import CacheImage
from kip.config.quantities import parse_quantity
from kip.config.references import parse_reference
from kip.config.settings import Platform, PullPolicy, Settings

REFRESHED_AT = "kip.dev/refreshed-at"
"""Pod template annotation: when the nodes were last told to look at moving tags again (RFC 3339)."""

DIGESTS = "kip.dev/digests"
"""Pod template annotation: the digests of moving tags at the last refresh (JSON, image -> digest)."""

TEMPLATE = "kip.dev/template"
"""Pod template annotation: a fingerprint of the template, so that a pod tells which one it was made from."""

UPSTREAM_LABELS = {"app.kubernetes.io/name": "image-puller", "test": "daemonset-test"}
"""Upstream's selector and pod labels. The selector of a DaemonSet is immutable, so they stay."""

INSTANCE_LABEL = "app.kubernetes.io/instance"
SLEEPER_VOLUME = "kip"
OPERATING_SYSTEM = {"kubernetes.io/os": "linux"}
"""What the cache's node selector has besides the setting's."""

SLEEPER_FOLDER = "/kip"
UNPRIVILEGED_ID = 65532
"""uid, gid and fsGroup off OpenShift; upstream's. OpenShift assigns its own and refuses any other."""

REVISION_HISTORY = 2
"""Every revision is a whole copy of the template in etcd; the default keeps ten."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The Deployment that the cache belongs to and goes with."""

    name: str
    uid: str

    @property
    def reference(self) -> Manifest:
        """Return it as one of an object's `ownerReferences`.

        Neither `controller` nor `blockOwnerDeletion`: the latter needs a right on the owner's finalizers
        where OwnerReferencesPermissionEnforcement is on (OpenShift).
        """
        return {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name, "uid": self.uid}


def render(
    settings: Settings,
    *,
    platform: Platform,
    owner: Owner | None = None,
    refreshed_at: str = "",
    digests: str = "",
    selector: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the DaemonSet for `settings`.

    `platform` is settled (never `auto`), `selector` is that of a cache which exists already,
    `refreshed_at` the time of the last refresh (empty: none yet), `digests` those of its tags (JSON).
    """
    labels = cache_labels(settings.daemonset_name)
    template = {
        "metadata": _template_metadata({**labels, **(selector or {})}, refreshed_at, digests),
        "spec": _pod(settings, on_openshift=platform is Platform.OPENSHIFT),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _metadata(settings, owner),
        "spec": {
            "selector": {"matchLabels": dict(selector or labels)},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": _count_or_percent(settings.max_surge), "maxUnavailable": 0},
            },
            "revisionHistoryLimit": REVISION_HISTORY,
            "template": with_fingerprint(template),
        },
    }


def cache_labels(daemonset_name: str) -> dict[str, str]:
    """Return the labels of the pods of the cache of that name."""
    return {INSTANCE_LABEL: daemonset_name, **UPSTREAM_LABELS}


def with_fingerprint(template: Manifest) -> Manifest:
    """Return the pod template with its fingerprint among its annotations, whatever fingerprint it had."""
    metadata = dict(template["metadata"])
    annotations = {key: text for key, text in metadata.pop("annotations", {}).items() if key != TEMPLATE}
    bare = {**template, "metadata": {**metadata, "annotations": annotations}}
    fingerprint = hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()[:12]
    annotated = {**metadata, "annotations": {**annotations, TEMPLATE: fingerprint}}
    return {"metadata": annotated, "spec": template["spec"]}


def has_moving_tags(settings: Settings) -> bool:
    """Whether a node that looks again could find another image under one of the listed references."""
    return any(parse_reference(entry.image).moving for entry in settings.images)


def pull_policy(image: str, wanted: PullPolicy) -> str:
    """Return the Kubernetes pull policy of one image; `auto` asks the registry only for moving tags."""
    if wanted is not PullPolicy.AUTO:
        return wanted.value
    return "Always" if parse_reference(image).moving else "IfNotPresent"


def _metadata(settings: Settings, owner: Owner | None) -> Manifest:
    metadata: Manifest = {"name": settings.daemonset_name, "namespace": settings.namespace}
    if settings.daemonset_annotations:
        metadata["annotations"] = dict(sorted(settings.daemonset_annotations.items()))
    if owner:
        metadata["ownerReferences"] = [owner.reference]
    return metadata


def _template_metadata(labels: Mapping[str, str], refreshed_at: str, digests: str) -> Manifest:
    stamp = {DIGESTS: digests, REFRESHED_AT: refreshed_at}
    annotations = {key: text for key, text in stamp.items() if text}
    return {"labels": dict(sorted(labels.items())), "annotations": annotations}


def _pod(settings: Settings, *, on_openshift: bool) -> Manifest:
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # A third-party image may set a stop signal that its PID 1 ignores; 0 would remove the pod object
        # before the kubelet has stopped the containers.
        "terminationGracePeriodSeconds": 1,
        "securityContext": pod_security(on_openshift=on_openshift),
        "nodeSelector": {**OPERATING_SYSTEM, **settings.node_selector},
        "affinity": settings.affinity,
        "tolerations": list(settings.tolerations),
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "initContainers": [copy_sleep(settings.kip_image, _resources(settings), on_openshift=on_openshift)],
        "containers": [_cache_container(entry, settings) for entry in settings.images],
        "volumes": [{"name": SLEEPER_VOLUME, "emptyDir": {"sizeLimit": "50Mi"}}],
    }
    if settings.caching_priority_class:
        pod["priorityClassName"] = settings.caching_priority_class
    return pod


def pod_security(*, on_openshift: bool) -> Manifest:
    """Return the security context of a pod that passes Pod Security `restricted`."""
    security: Manifest = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if not on_openshift:
        # A uid of our own, as an image's USER may be root or a name that the kubelet cannot verify.
        security |= {
            "runAsUser": UNPRIVILEGED_ID,
            "runAsGroup": UNPRIVILEGED_ID,
            "fsGroup": UNPRIVILEGED_ID,
        }
    return security


def copy_sleep(image: str, resources: Manifest, *, on_openshift: bool) -> Manifest:
    """Return the init container that copies the sleeper into the pod's volume."""
    security = {**container_security(), "runAsNonRoot": True}
    if not on_openshift:
        security |= {"runAsUser": UNPRIVILEGED_ID, "runAsGroup": UNPRIVILEGED_ID}
    return {
        "name": "copy-sleep",
        "image": image,
        # Never Always: a node that has the image must not need the registry to start its cache pod.
        "imagePullPolicy": "IfNotPresent",
        # Upstream's command: the one that its image, the keeper's and the sleeper's all understand.
        "command": ["/bin/sh"],
        "args": ["-c", f"cp /bin/sleep {SLEEPER_FOLDER}/sleep"],
        "resources": resources,
        "securityContext": security,
        "volumeMounts": [{"name": SLEEPER_VOLUME, "mountPath": SLEEPER_FOLDER}],
    }


def _cache_container(entry: CacheImage, settings: Settings) -> Manifest:
    return {
        "name": entry.name,
        "image": entry.image,
        "imagePullPolicy": pull_policy(entry.image, settings.image_pull_policy),
        "command": [f"{SLEEPER_FOLDER}/sleep"],
        "args": ["720h"],
        # An image's own working directory may be closed to our uid.
        "workingDir": "/",
        # Keeps the NVIDIA hook, which does not fit into the memory limit, away from CUDA images.
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "resources": _resources(settings),
        "securityContext": container_security(),
        "volumeMounts": [{"name": SLEEPER_VOLUME, "mountPath": SLEEPER_FOLDER, "readOnly": True}],
    }


def container_security() -> Manifest:
    """Return the security context of each of its containers."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def _resources(settings: Settings) -> Manifest:
    amounts = {
        "requests": {"cpu": settings.caching_cpu_request, "memory": settings.caching_memory_request},
        "limits": {"cpu": settings.caching_cpu_limit, "memory": settings.caching_memory_limit},
    }
    return {kind: given for kind, all_of in amounts.items() if (given := _without_zero(all_of))}


def _without_zero(amounts: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is 0: for a limit Kubernetes has no other word for `none`."""
    return {resource: amount for resource, amount in amounts.items() if parse_quantity(amount)}


def _count_or_percent(text: str) -> int | str:
    return text if text.endswith("%") else int(text)
