"""Whether every pin is safe before a change, and whether what held them may go after it.

With the right to read pods both are answered node by node. Without, by the counts in the DaemonSets' status,
and where these say nothing, by patience.
"""

from dataclasses import dataclass

from kip.core.render.daemonset import cache_labels
from kip.core.rollout.bridge import (
    NET_OF,
    asks_for_nothing,
    bridge_for,
    fingerprint_of,
    images_of,
    is_bridge,
    is_everywhere,
    is_placeholder,
    lies_as,
    reaches,
)
from kip.core.rollout.cache_pods import CachePod
from kip.core.rollout.ownership import NEWER_PATIENCE, newer_keeper
from kip.core.rollout.pace import is_complete, replaces_one_for_one
from kip.core.rollout.pins import (
    Images,
    Pins,
    nodes_of,
    pins_at_risk,
    still_needed,
    unschedulable_nodes,
    without_pods,
)
from kip.core.rollout.plan_types import Action, Manifest, Observed, Plan, PlannedStep, Target, Waited, Wanted
from kip.core.rollout.progress import read_progress
from kip.core.text import join_names

NET_PATIENCE = 20.0
"""Seconds without one more pin held by the net, after which the nodes it does not reach are left to luck.

They are away, or have no place for one more pod. A net holds in 3.5 s (measured on 4 nodes).
"""

UNSEEN_PATIENCE = 300.0
"""The same while the controller has not made all pods of the net (it may be refused), and while the
kubelets have to ask a registry for images that they have (AlwaysPullImages)."""

NETS_BY_NODE = 2
"""With so many nets there the next one is spread over all nodes: nodes that come and go need no more."""

BLIND_PATIENCE = 40.0
"""The same without the right to read pods, where nobody says which images the net could hold at all."""

BLIND_RETIREMENT = 1800.0
"""Seconds without a change of its counts, after which an incomplete cache is taken to hold what it can."""

SILENCE = 60.0
"""A kubelet that has not taken up its cache pod for so many seconds is away with its node."""

ROOM_PATIENCE = 5.0
"""Seconds that the scheduler may need for a cache pod before its node counts as full."""

UNSEEN = "the DaemonSet controller has not yet seen the net"
UNWELCOME = "no pods are made that request nothing; perhaps because of a LimitRange"
Pods = tuple[CachePod, ...]


@dataclass(frozen=True, slots=True)
class Safety:
    """`plan` comes before the change, None when it may be made; `remarks` are added to its reasons."""

    plan: Plan | None = None
    remarks: tuple[str, ...] = ()


def before_change(
    wanted: Wanted,
    observed: Observed,
    found: Manifest,
    action: Action,
    waited: Waited,
    *,
    template: str,
    rolls: bool,
    everywhere: bool,
) -> Safety:
    """Return what has to be done before the cache `found` may be changed by `action`.

    A pod made from `template` (a fingerprint) is of the new kind already.

    `rolls` tells whether pods will be exchanged; with `everywhere` even those that are Ready lose their pins.
    """
    nets = [other for other in observed.others if is_bridge(other)]
    # A cache with a selector of another's that is gone for a moment could not be made anew by anybody who
    # does not remember that selector. A net does.
    marked = action is Action.APPLY or _has_own_selector(found) or any(_is_net_of(net, found) for net in nets)
    if observed.net_refused:
        return Safety(remarks=("the API server refuses a net: pins may be lost for seconds",))
    guarded = Safety()
    if rolls and observed.pods is None:
        guarded = _blind(wanted, found, nets, waited, everywhere=everywhere)
    elif rolls and observed.pods is not None:
        guarded = _by_pods(
            wanted, found, nets, observed.pods, waited, template=template, everywhere=everywhere
        )
    if guarded.plan is None and not marked:
        images = images_of(wanted.cache.expected)
        return _spread(bridge_for(wanted.cache.manifest, found, images), "its selector has to be remembered")
    return guarded


def remove_bridge(wanted: Wanted, observed: Observed, found: Manifest, waited: Waited) -> Plan:
    """Return what becomes of nets and of caches of earlier names, now that the cache `found` is as wanted."""
    others = sorted(observed.others, key=lambda other: other["metadata"]["creationTimestamp"])
    if not others:
        return Plan()
    newers = [other for other in others if _is_of_newer(other, observed, waited)]
    reasons = [f"{other['metadata']['name']} is of a keeper that started later" for other in newers]
    if newers == others:
        return Plan(pending="; ".join(reasons))
    if observed.pods is None:
        return _retire_blind(wanted, observed, found, [one for one in others if one not in newers], waited)
    needs = [(other, _needed(wanted, found, other, others, observed.pods, waited)) for other in others]
    moving = any(needed for other, needed in needs if not is_bridge(other))
    for other, needed in needs:
        if other in newers:
            continue
        if needed:
            if not is_bridge(other) and (plan := _make_room(wanted, observed, found, other, needed, waited)):
                return plan
            reasons.append(f"{other['metadata']['name']} still holds {_in_words(needed)}")
        elif not (is_bridge(other) and moving):  # a net may just be taking over from a former cache
            return Plan((_retirement(other, "the cache holds what it held"),))
    return Plan(pending="; ".join(reasons))


def _by_pods(
    wanted: Wanted,
    found: Manifest,
    nets: list[Manifest],
    pods: Pods,
    waited: Waited,
    *,
    template: str,
    everywhere: bool,
) -> Safety:
    images = images_of(wanted.cache.expected)
    need = pins_at_risk(pods, found["metadata"]["uid"], images, template=template, by_any_roll=everywhere)
    uncovered = without_pods(need, pods, {net["metadata"]["uid"] for net in nets})
    if not uncovered:
        return Safety()
    fitting = [net for net in nets if images_of(net) >= _all(uncovered) and reaches(net, uncovered)]
    if not fitting:
        # What is still being pulled is listed too, so that one net will do.
        listed = _all(need) | (images_of(found) & images)
        nodes = need if len(nets) < NETS_BY_NODE else None
        net = bridge_for(wanted.cache.manifest, found, listed, nodes)
        return _spread(net, f"the change would let go of {_in_words(uncovered)}")
    fitting = [net for net in fitting if not _is_unwelcome(net)] or fitting
    uids = {net["metadata"]["uid"] for net in fitting}
    seconds = waited(("net", frozenset(uids)), sum(map(len, uncovered.values())))
    if seconds >= NET_PATIENCE and _is_unwelcome(fitting[0]):
        net = bridge_for(wanted.cache.manifest, found, _all(need), need, free=False)
        return _spread(net, UNWELCOME)
    if not _are_seen_to(fitting):
        return Safety(Plan(pending=UNSEEN))
    there = all(map(_has_its_pods, fitting)) and not any(pod.pulls for pod in pods if pod.owner in uids)
    if seconds < (NET_PATIENCE if there else UNSEEN_PATIENCE):
        return Safety(Plan(pending=f"the net does not yet hold {_in_words(uncovered)}"))
    return Safety(remarks=(f"no net could be spread for {_in_words(uncovered)}",))


def _blind(
    wanted: Wanted, found: Manifest, nets: list[Manifest], waited: Waited, *, everywhere: bool
) -> Safety:
    progress = read_progress(found)
    nobody = progress.current and not progress.wanted
    listed = images_of(wanted.cache.expected)
    held = listed if _has_adopted(found) else images_of(found).union(*map(images_of, nets)) & listed
    if nobody or not held or (is_complete(found) and not everywhere):
        return Safety()
    whole = bridge_for(wanted.cache.manifest, found, held)
    there = [net for net in nets if is_everywhere(net) and lies_as(net, whole)]
    fitting = [net for net in there if images_of(net) >= held]
    if not fitting:
        return _spread(whole, "not every cache pod is ready")
    if any(is_complete(net) for net in fitting):
        return Safety()
    seen = _are_seen_to(fitting)
    counts = tuple((net["metadata"]["uid"], read_progress(net)) for net in fitting)
    if not seen or waited(("net", counts)) < BLIND_PATIENCE:
        return Safety(Plan(pending="the net is being spread" if seen else UNSEEN))
    if all(map(_is_unwelcome, fitting)):
        return _spread(bridge_for(wanted.cache.manifest, found, held, free=False), UNWELCOME)
    return Safety(remarks=("the net is not complete",))


def _retire_blind(
    wanted: Wanted, observed: Observed, found: Manifest, others: list[Manifest], waited: Waited
) -> Plan:
    progress = read_progress(found)
    nobody = progress.current and not progress.wanted
    former = [other for other in others if not is_bridge(other)]
    uids = frozenset(other["metadata"]["uid"] for other in (found, *former))
    key = ("retire", uids, found["metadata"].get("generation"), progress)
    if is_complete(found) or nobody:
        return Plan(tuple(_retirement(other, "the cache is complete") for other in others))
    if waited(key) >= BLIND_RETIREMENT:
        # A former cache may take up the place of this one: when it is gone, a net holds until that has come.
        nets = [other for other in others if is_bridge(other)]
        for other in () if observed.net_refused else former:
            # Of its own sleeper, which is surely there.
            if plan := _blind(wanted, other, nets, waited, everywhere=True).plan:
                return plan
        return Plan(tuple(_retirement(other, "the cache holds what it can") for other in former or nets))
    names = ", ".join(other["metadata"]["name"] for other in others)
    return Plan(pending=f"{names} stays until the cache is complete")


def _needed(
    wanted: Wanted, found: Manifest, other: Manifest, others: list[Manifest], pods: Pods, waited: Waited
) -> Pins:
    uid = other["metadata"]["uid"]
    progress = read_progress(found)
    return still_needed(
        pods,
        uid,
        cache=found["metadata"]["uid"],
        template=fingerprint_of(found),
        images=images_of(wanted.cache.expected),
        others={item["metadata"]["uid"] for item in others} - {uid},
        surges=not replaces_one_for_one(found),
        # By the pods: the controller's count includes those that are just being deleted.
        counted=progress.current and len(nodes_of(pods, found["metadata"]["uid"])) >= progress.wanted,
        given_up=lambda node: waited(("silent", uid, node)) >= SILENCE,
    )


def _make_room(
    wanted: Wanted, observed: Observed, found: Manifest, former: Manifest, needed: Pins, waited: Waited
) -> Plan | None:
    """Spread a net where the cache finds no place because that of its earlier name takes it up."""
    homeless = unschedulable_nodes(observed.pods or (), found["metadata"]["uid"])
    stuck = {node: images for node, images in needed.items() if node in homeless}
    nets = [item for item in observed.others if is_bridge(item)]
    covered = any(images_of(net) >= _all(stuck) and reaches(net, stuck) for net in nets)
    if not stuck or covered or observed.net_refused or waited(("room", frozenset(stuck))) < ROOM_PATIENCE:
        return None
    net = bridge_for(wanted.cache.manifest, former, _all(stuck), stuck)
    return _spread(net, f"{former['metadata']['name']} takes up the place of the cache").plan


def _spread(net: Manifest, reason: str) -> Safety:
    return Safety(Plan((PlannedStep.on(Target(net, net), Action.SPREAD, (reason,)),)))


def _is_of_newer(other: Manifest, observed: Observed, waited: Waited) -> bool:
    """Whether it is a net for a change that a newer keeper is about to make."""
    newer = newer_keeper(other, observed.started) if is_bridge(other) else ""
    return bool(newer) and waited(("newer", newer, other["metadata"]["uid"])) < NEWER_PATIENCE


def _retirement(other: Manifest, reason: str) -> PlannedStep:
    return PlannedStep.on(Target(other, other), Action.RETIRE, (reason,), other)


def _has_own_selector(found: Manifest) -> bool:
    return bool(found["spec"]["selector"] == {"matchLabels": cache_labels(found["metadata"]["name"])})


def _has_adopted(found: Manifest) -> bool:
    """Whether a new holder has found pods, of a cache that a keeper was killed in the middle of replacing.

    What they hold nobody can tell without the right to read them.
    """
    progress, status = read_progress(found), found.get("status") or {}
    return is_placeholder(found) and progress.updated < status.get("currentNumberScheduled", 0)


def _is_net_of(net: Manifest, found: Manifest) -> bool:
    return bool(net["metadata"]["labels"][NET_OF] == found["metadata"]["name"])


def _are_seen_to(nets: list[Manifest]) -> bool:
    """Whether the DaemonSet controller has seen one of the nets.

    While it is away a change would have no effect either, and when it is back it would not wait for the net.
    """
    return any(read_progress(net).current for net in nets)


def _has_its_pods(net: Manifest) -> bool:
    """Whether the controller has made the net's pods: without one that works nothing is decided in haste."""
    progress = read_progress(net)
    return progress.current and (net.get("status") or {}).get("currentNumberScheduled", 0) >= progress.wanted


def _is_unwelcome(net: Manifest) -> bool:
    """Whether none of its pods could be made, perhaps as they request nothing."""
    progress, status = read_progress(net), net.get("status") or {}
    made = status.get("currentNumberScheduled", 0)
    return progress.current and progress.wanted > 0 and not made and asks_for_nothing(net)


def _all(pins: Pins) -> Images:
    return frozenset().union(*pins.values())


def _in_words(pins: Pins) -> str:
    return f"{join_names(sorted(_all(pins)))} on {join_names(sorted(pins))}"
