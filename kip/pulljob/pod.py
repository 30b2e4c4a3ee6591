"""The pod of a pull: it runs the sleeper for no time in each wanted image, so that the kubelet pulls it.

It is bound by `spec.nodeName`, not by affinity through the scheduler:
- A full node tells so at once, in its kubelet's own words (phase Failed, OutOfpods, OutOfcpu with the
  amounts), where a pending pod would speak of thousands of nodes that it was never meant for.
- The scheduler would make room by preempting pods of lower priority: nobody is to be ended for a download.
- Cordoned nodes and NoSchedule taints are passed over, as OpenKruise's daemon passes over them. NoExecute
  taints need the toleration below, as kubelet and taint manager act on them.
"""

from dataclasses import dataclass
from typing import Any

from kip.core.render.daemonset import (
    SLEEPER_FOLDER,
    SLEEPER_VOLUME,
    container_security,
    copy_sleep,
    pod_security,
)
from kip.pulljob.planner import PodStart
from kip.pulljob.pod_view import CONTAINER_PREFIX, JOB_LABEL, NODE_LABEL, SERIAL_LABEL
from kip.pulljob.spec import PullJob, short_hash

Manifest = dict[str, Any]

NAME_LABELS = {"app.kubernetes.io/name": "kip-pull", "app.kubernetes.io/managed-by": "kip"}
NAME_ANNOTATION = "kip.dev/pull-job-name"
"""Pod annotation: the job's name, for people; its label is a hash."""

RESOURCES: Manifest = {
    "requests": {"cpu": "1m", "memory": "2Mi"},
    # Some runtimes start nothing below 12Mi, and starting a container takes more than sleeping in it.
    "limits": {"cpu": "200m", "memory": "20Mi"},
}
"""What a nearly full node has room for, also ten times; quotas want each of them said."""

START_SECONDS = 300
LARGEST_DEADLINE = 2**31 - 1
"""A pod may live so much longer than its pulls may take: a busy node, and the sleeper's own image."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What pods need besides the job: the image that has the sleeper, and whether OpenShift sets the user.

    `owner` is an owner reference, where an object of the cluster stands for the job: they go when it goes.
    """

    kip_image: str
    on_openshift: bool = False
    owner: Manifest | None = None


def pod_name(job: PullJob, start: PodStart) -> str:
    """Return the name: the same for the same pod, so that it cannot be made twice."""
    return f"kip-pull-{job.key}-{short_hash(start.node)}-{start.serial}"


def render_pod(job: PullJob, start: PodStart, shape: Shape) -> Manifest:
    """Return the pod to create. It ends by itself, whoever made it: `activeDeadlineSeconds`."""
    labels = {
        **NAME_LABELS,
        JOB_LABEL: job.key,
        NODE_LABEL: short_hash(start.node),
        SERIAL_LABEL: str(start.serial),
    }
    spec: Manifest = {
        "nodeName": start.node,
        # A failed pull is tried again by the kubelet all the same; an ended sleeper is not.
        "restartPolicy": "Never",
        "activeDeadlineSeconds": min(
            job.timeout_seconds * len(start.images) + START_SECONDS + job.keep_seconds, LARGEST_DEADLINE
        ),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": pod_security(on_openshift=shape.on_openshift),
        "tolerations": [{"operator": "Exists"}],
        "initContainers": [copy_sleep(shape.kip_image, RESOURCES, on_openshift=shape.on_openshift)],
        "containers": [_container(job, number) for number in start.images],
        "volumes": [{"name": SLEEPER_VOLUME, "emptyDir": {"sizeLimit": "50Mi"}}],
    }
    if job.pull_secrets:  # an empty list too would take away the ServiceAccount's
        spec["imagePullSecrets"] = [{"name": name} for name in job.pull_secrets]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(job, start),
            "namespace": job.namespace,
            "labels": {**job.sandbox_labels, **labels},
            "annotations": {**job.sandbox_annotations, NAME_ANNOTATION: job.name},
            **({"ownerReferences": [shape.owner]} if shape.owner else {}),
        },
        "spec": spec,
    }


def _container(job: PullJob, number: int) -> Manifest:
    image = job.images[number]
    return {
        "name": f"{CONTAINER_PREFIX}{short_hash(image)}",
        "image": image,
        "imagePullPolicy": job.pull_policy,
        "command": [f"{SLEEPER_FOLDER}/sleep"],
        "args": [f"{job.keep_seconds}s"],
        # An image's own working directory may be closed to our uid.
        "workingDir": "/",
        # Keeps the NVIDIA hook, which does not fit into the memory limit, away from CUDA images.
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "resources": RESOURCES,
        "securityContext": container_security(),
        "volumeMounts": [{"name": SLEEPER_VOLUME, "mountPath": SLEEPER_FOLDER, "readOnly": True}],
    }
