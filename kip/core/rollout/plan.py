"""What is to be done so that the cluster holds what the settings say: a pure value, with reasons.

The API server's own view of the wanted cache (the answer to a dry run, with its defaults filled in) is
compared with what is there. So validity and drift come from one question, and no list of defaults is kept.

A change that replaces pods waits until `kip.core.rollout.pin_safety`
says that it releases no pin of a listed image.
"""

from dataclasses import replace

from kip.core.rollout import pace, pin_safety
from kip.core.rollout.bridge import fingerprint_of
from kip.core.rollout.change_reasons import reasons_to_change
from kip.core.rollout.differences import differences
from kip.core.rollout.ownership import NEWER_PATIENCE, foreign_owner, newer_keeper
from kip.core.rollout.pins import surplus_rejected_pods
from kip.core.rollout.plan_types import Action, Manifest, Observed, Plan, PlannedStep, Target, Waited, Wanted

__all__ = ["Action", "Observed", "Plan", "PlannedStep", "Target", "Wanted", "make_plan", "needs_pods"]

FOREGROUND = "foregroundDeletion"
DELETION_PATIENCE = 45.0
"""Seconds for the pods of a cache that is deleted in the foreground; they have 30 to end."""


SWEPT_AT_ONCE = 100
"""Pods that are deleted in one step; the next one follows at once."""


def needs_pods(observed: Observed) -> bool:
    """Whether the plan depends on which images the cache pods hold, so that it is worth a list of them."""
    found = observed.daemonset
    return found is not None and (bool(observed.others) or not pace.is_complete(found))


def make_plan(wanted: Wanted, observed: Observed, waited: Waited) -> Plan:
    """Return the next step from what was observed to what is wanted.

    `waited` tells for how many seconds in a row the plan has waited for the same thing.
    """
    found = observed.daemonset
    if found is None:
        first = wanted.holder or wanted.cache
        return _plan(Action.CREATE, first, ("there is no such DaemonSet",))
    if whose := foreign_owner(found, observed.owner):
        return _plan(Action.REFUSE, wanted.cache, (f"it belongs to {whose}",), found)
    if found["metadata"].get("deletionTimestamp"):
        return _after_deletion(wanted, observed, found, waited)
    stage = pace.next_stage(wanted, found, waited)
    if stage is None:
        return Plan(pending="the holders are being started")
    target = stage
    if stage is wanted.cache:
        target = pace.at_pace(stage, pace.pace(wanted, observed, waited))
    reasons = reasons_to_change(target.manifest, target.expected, found)
    if reasons:
        return _change(wanted, observed, found, target, reasons, waited)
    plan = _sweep(observed, found) or pin_safety.remove_bridge(wanted, observed, found, waited)
    return plan if plan != Plan() else _watch(found)


def _sweep(observed: Observed, found: Manifest) -> Plan | None:
    """Return the plan to delete what a kubelet refused, once the controller exchanges one for one.

    It then makes no pod on a node where a failed one is left, and removes these with a pause that doubles
    each time. The newest stays: without any the controller would make one at once, and not after its pause.
    """
    allowed = observed.rights.allow("delete", "pods") and not observed.sweep_refused
    if not allowed or not pace.replaces_one_for_one(found):
        return None
    surplus = surplus_rejected_pods(observed.pods or (), found["metadata"]["uid"])[:SWEPT_AT_ONCE]
    if not surplus:
        return None
    step = PlannedStep.on(Target(found, found), Action.SWEEP, ("their kubelets refused them",), found)
    return Plan((replace(step, pods=surplus),))


def _after_deletion(wanted: Wanted, observed: Observed, found: Manifest, waited: Waited) -> Plan:
    """Return the plan for a cache that somebody has deleted, and that is still there."""
    metadata = found["metadata"]
    if FOREGROUND not in metadata.get("finalizers", ()):
        return _plan(Action.WAIT, wanted.cache, ("it is being deleted",), found)
    if waited(("deleted", metadata["uid"])) < DELETION_PATIENCE:
        return Plan(pending="it is being deleted, after its pods")
    if observed.rights.allow("patch", "daemonsets", group="apps", name=metadata["name"]):
        return _plan(Action.RELEASE, wanted.cache, ("its deletion waits for pods that do not end",), found)
    remedy = "end the pods that hang, or remove its finalizer, or grant patch on daemonsets"
    return Plan(pending=f"its deletion waits for pods that do not end: {remedy}")


def _watch(found: Manifest) -> Plan:
    """Return the plan for a cache that is as wanted: nothing, but with an eye on pods that are not well."""
    if pace.is_complete(found) or pace.has_no_nodes(found):
        return Plan()
    return Plan(pending="" if pace.is_rolled(found) else "pods are being exchanged", incomplete=True)


def _change(
    wanted: Wanted,
    observed: Observed,
    found: Manifest,
    target: Target,
    reasons: tuple[str, ...],
    waited: Waited,
) -> Plan:
    newer = newer_keeper(found, observed.started)
    if newer and waited(("newer", newer, found["metadata"].get("generation"))) < NEWER_PATIENCE:
        return Plan(pending=f"{newer} started later and keeps this cache")
    in_place = observed.rights.allow("patch", "daemonsets", group="apps", name=found["metadata"]["name"])
    action = Action.APPLY if in_place else Action.REPLACE
    one_for_one = pace.replaces_one_for_one(target.manifest)
    rolls, template = _rolls(target, found), fingerprint_of(target.manifest)
    # Killed in the middle of it, kip leaves pods that the next keeper takes over, and perhaps rolls.
    risky = action is Action.REPLACE and not pace.is_complete(found)
    if (rolls or risky) and template == fingerprint_of(found):
        template = ""  # somebody edited the template, but not its fingerprint: no pod is surely of ours
    guarded = pin_safety.before_change(
        wanted,
        observed,
        found,
        action,
        waited,
        template=template,
        rolls=rolls or one_for_one or risky,
        everywhere=target is wanted.holder or one_for_one,
    )
    if guarded.remarks and target is wanted.holder and not pace.many_unready(wanted, found):
        # As above: better that new nodes pull at once than that pins are lost.
        usual = pace.at_pace(wanted.cache, pace.Pace(wanted.budget))
        why = reasons_to_change(usual.manifest, usual.expected, found)
        return _change(wanted, observed, found, usual, why, waited)
    if guarded.remarks and one_for_one and rolls:
        # A surge keeps what no net can.
        usual = pace.at_pace(target, pace.Pace(wanted.budget))
        return _change(wanted, observed, found, usual, reasons, waited)
    if guarded.remarks and one_for_one and not pace.replaces_one_for_one(found):
        # It may wait: with a surge nothing is lost.
        surging = pace.at_pace(target, pace.pace(wanted, observed, waited, may_exchange=False))
        if why := reasons_to_change(surging.manifest, surging.expected, found):
            return _change(wanted, observed, found, surging, why, waited)
        return Plan(pending="; ".join(guarded.remarks))
    return guarded.plan or _plan(action, target, (*reasons, *guarded.remarks), found)


def _rolls(target: Target, found: Manifest) -> bool:
    """Whether the change makes new pods."""
    return any(differences(target.expected["spec"]["template"], found["spec"]["template"]))


def _plan(action: Action, target: Target, reasons: tuple[str, ...], found: Manifest | None = None) -> Plan:
    return Plan((PlannedStep.on(target, action, reasons, found),))
