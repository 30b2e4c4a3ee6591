"""Carrying out a plan: the only place that writes DaemonSets, and deletes pods of theirs."""

import time
from collections.abc import Callable
from contextlib import suppress

from kip.cluster.api import DAEMONSETS, PODS, Cluster
from kip.config.mappings import TEMPLATE_GENERATION
from kip.core.rollout.bridge import fingerprint_of
from kip.core.rollout.ownership import WRITTEN_BY, written_annotations
from kip.core.rollout.plan import FOREGROUND
from kip.core.rollout.plan_types import Action, Manifest, Plan, PlannedStep
from kip.errors import Conflict, OwnershipError

GONE_WITHIN_SECONDS = 10.0
"""An orphaning delete ends when the garbage collector has let go of the pods: 0.3 s measured."""

POLL_SECONDS = 0.1


def execute(
    plan: Plan, cluster: Cluster, signature: str = "", *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Do every step of the plan; `signature` says who writes (see WRITTEN_BY).

    Raises OwnershipError for a step that is refused, ApiError as it comes.
    """
    for step in plan.steps:
        match step.action:
            case Action.CREATE | Action.SPREAD:
                _create(step, cluster, signature)
            case Action.APPLY:
                _apply(step, cluster, signature)
            case Action.REPLACE:
                _replace(step, cluster, signature, sleep)
            case Action.RETIRE:
                cluster.delete(DAEMONSETS, step.namespace, step.name, uid=step.uid)
            case Action.RELEASE:
                _release(step, cluster)
            case Action.SWEEP:
                _sweep(step, cluster)
            case Action.WAIT:
                pass
            case Action.REFUSE:
                raise OwnershipError(
                    f"DaemonSet {step.namespace}/{step.name} is left alone: {'; '.join(step.reasons)}",
                    hint="Set DAEMONSET_NAME to a name of its own, or delete that DaemonSet.",
                )


def _create(step: PlannedStep, cluster: Cluster, signature: str) -> None:
    """Create the DaemonSet with a template generation of its own.

    The controller takes every pod for up to date whose label has the DaemonSet's template generation, and
    that begins at 1 for each new one: it would adopt the pods of the one before and never roll them.
    """
    metadata = _signed(step.manifest, signature)
    metadata["annotations"][TEMPLATE_GENERATION] = str(int(fingerprint_of(step.manifest), base=16))
    cluster.create(DAEMONSETS, step.namespace, {**step.manifest, "metadata": metadata})


def _apply(step: PlannedStep, cluster: Cluster, signature: str) -> None:
    """Change the object in place, so that its spec is exactly the wanted one.

    Server-side apply alone leaves what other managers wrote (the containers of an upstream cache, a hand-made
    edit). Where a dry run shows such leftovers the spec is first written whole; the apply after it then
    changes nothing but the ownership of the fields, so the pods roll once.
    """
    metadata = {**_signed(step.manifest, signature), "uid": step.uid}
    trial = cluster.apply(DAEMONSETS, step.namespace, {**step.manifest, "metadata": metadata}, dry_run=True)
    if trial["spec"] != step.spec:
        cluster.patch(
            DAEMONSETS,
            step.namespace,
            step.name,
            [
                {"op": "test", "path": "/metadata/uid", "value": step.uid},
                {"op": "test", "path": "/metadata/generation", "value": step.generation},
                {"op": "replace", "path": "/spec", "value": step.spec},
            ],
        )
    applied = cluster.apply(DAEMONSETS, step.namespace, {**step.manifest, "metadata": metadata})
    unwanted = written_annotations(applied["metadata"]) & applied["metadata"].get("annotations", {}).keys()
    if keys := sorted(unwanted - metadata["annotations"].keys()):
        # What a create wrote, an apply of the same manager does not remove.
        cluster.patch(DAEMONSETS, step.namespace, step.name, [_removal(key) for key in keys])


def _removal(annotation: str) -> Manifest:
    escaped = annotation.replace("~", "~0").replace("/", "~1")
    return {"op": "remove", "path": f"/metadata/annotations/{escaped}"}


def _replace(step: PlannedStep, cluster: Cluster, signature: str, sleep: Callable[[float], None]) -> None:
    """Delete the object but not its pods, and create it anew: it adopts the pods and rolls them."""
    cluster.delete(DAEMONSETS, step.namespace, step.name, uid=step.uid, orphan=True)
    for _ in range(int(GONE_WITHIN_SECONDS / POLL_SECONDS)):
        if cluster.get(DAEMONSETS, step.namespace, step.name) is None:
            _create(step, cluster, signature)
            return
        sleep(POLL_SECONDS)
    raise Conflict(f"DaemonSet {step.namespace}/{step.name} is still being deleted")


def _sweep(step: PlannedStep, cluster: Cluster) -> None:
    for pod in step.pods:
        with suppress(Conflict):  # another pod of that name by now
            cluster.delete(PODS, step.namespace, pod.name, uid=pod.uid)


def _release(step: PlannedStep, cluster: Cluster) -> None:
    """Let the garbage collector remove the object now; its pods it removes after that."""
    metadata = (cluster.get(DAEMONSETS, step.namespace, step.name) or {}).get("metadata", {})
    finalizers = metadata.get("finalizers", [])
    if metadata.get("uid") != step.uid or FOREGROUND not in finalizers:
        return
    place = f"/metadata/finalizers/{finalizers.index(FOREGROUND)}"
    operations = [
        {"op": "test", "path": "/metadata/uid", "value": step.uid},
        {"op": "test", "path": place, "value": FOREGROUND},
        {"op": "remove", "path": place},
    ]
    cluster.patch(DAEMONSETS, step.namespace, step.name, operations)


def _signed(manifest: Manifest, signature: str) -> Manifest:
    """Return the metadata with who wrote it."""
    annotations = dict(manifest["metadata"].get("annotations", {}))
    if signature:
        annotations[WRITTEN_BY] = signature
    return {**manifest["metadata"], "annotations": annotations}
