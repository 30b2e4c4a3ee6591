"""How many nodes change at a time: MAX_SURGE, for the first fill, for edits, and when a rollout stalls.

The DaemonSet controller obeys maxSurge only where an old pod is Ready. So where it is limited a new cache
begins with placeholders (see `kip.core.rollout.bridge`), and so does a change of a cache with more pods that
are not Ready than the limit allows, and one that may bring in nodes without a pod.
A node whose newest pod waits for
a cure (an image that does not exist) would use up the limit for ever: it is raised by the number of such
nodes, which rolls nothing again.

A node that has no room for a second cache pod would keep the old one for ever. Under a net, which needs no
room, such nodes exchange one for one (maxUnavailable instead of maxSurge). So does everything while a kubelet
refuses pods, because its disk is full for example: with maxSurge the controller would make new ones for that
node without any pause (kubernetes/kubernetes#124388).
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from kip.core.render.node_selection import may_add_nodes
from kip.core.rollout.bridge import fingerprint_of
from kip.core.rollout.differences import differences
from kip.core.rollout.pins import (
    is_pulling,
    newest_refusal,
    nodes_rejecting_pods,
    nodes_without_room_for_two,
    outdated_nodes,
    stalled_nodes,
)
from kip.core.rollout.plan_types import Manifest, Observed, Target, Waited, Wanted
from kip.core.rollout.progress import read_progress

HOLDER_PATIENCE = 20.0
"""Seconds without one more holder that is Ready, after which nodes that have none are not waited for."""

STALL_PATIENCE = 300.0
"""Seconds without one more node done, after which a rollout counts as stalled whatever the pods say."""

IDLE_PATIENCE = 40.0
"""Seconds in which an exchange starts and pulls nothing, though nodes are left: its limit is used up by nodes
that have died, whose pods never end.

Nobody pulls meanwhile, so that one raise lets no more pull at a time than before. Kubernetes takes as long to
find out that a node has died.
"""

CALM_SECONDS = 60.0
REFUSED_PATIENCE = 1000.0
"""Seconds without a new refusal after which refused pods that are left over count no more.

The controller pauses for 900 at most between two of them.
"""

FLOOD = 3
"""Pods that a kubelet has refused, one after the other, before the controller is slowed down."""

ROOM_PATIENCE = 5.0
"""Seconds that the scheduler may need for a cache pod before its node counts as full."""


@dataclass(frozen=True, slots=True)
class Pace:
    """maxSurge and maxUnavailable of the DaemonSet: one of them is 0."""

    surge: str
    unavailable: str = "0"


def count_of(budget: str, nodes: int) -> int:
    """Return how many of `nodes` may change at a time; percentages are rounded up, as Kubernetes does."""
    return ceil(nodes * int(budget[:-1]) / 100) if budget.endswith("%") else int(budget)


def has_no_nodes(found: Manifest) -> bool:
    """Whether the cache selects no node at all, says the controller."""
    progress = read_progress(found)
    return progress.current and not progress.wanted


def is_rolled(found: Manifest) -> bool:
    """Whether no node has an old pod any more, as far as the controller's counts tell."""
    progress = read_progress(found)
    return progress.current and progress.updated >= progress.wanted


def limits_pulls(budget: str) -> bool:
    """Whether MAX_SURGE keeps nodes from pulling all at once."""
    return budget != "100%"


def is_complete(found: Manifest) -> bool:
    """Whether the controller has seen to every node, and each has one pod of the newest template, Ready."""
    return read_progress(found).complete


def next_stage(wanted: Wanted, found: Manifest, waited: Waited) -> Target | None:
    """Return what the cache is to become now: itself, or holders first; None while holders are started."""
    if wanted.holder is None:
        return wanted.cache
    if fingerprint_of(found) == fingerprint_of(wanted.holder.manifest):
        return wanted.cache if _holders_stand(found, waited) else None
    template, before = wanted.cache.expected["spec"]["template"], found["spec"]["template"]
    widens = may_add_nodes(template["spec"], before["spec"])
    if widens or (any(differences(template, before)) and many_unready(wanted, found)):
        return wanted.holder
    return wanted.cache


def many_unready(wanted: Wanted, found: Manifest) -> bool:
    """Whether more nodes than may change at a time have a pod that is not Ready."""
    progress = read_progress(found)
    return progress.wanted - progress.ready > count_of(wanted.budget, progress.wanted)


def pace(wanted: Wanted, observed: Observed, waited: Waited, *, may_exchange: bool = True) -> Pace:
    """Return at what pace the controller is to exchange the pods now.

    Without `may_exchange` nodes that have no room for two pods wait as if for a cure, and the others go on.
    """
    found = observed.daemonset
    usual, exchange = Pace(wanted.budget), Pace("0", wanted.budget)
    if found is None or is_complete(found):
        return usual
    if fingerprint_of(found) != fingerprint_of(wanted.cache.manifest):
        # Without a net only a surge keeps the pins of all the other nodes.
        return exchange if is_flooded(found, observed, waited) and not observed.net_refused else usual
    progress = read_progress(found)
    if not progress.current and (kept := _pace_of(found)):
        return kept  # nothing is known yet; after an exchange without patch all counts are 0
    base = count_of(wanted.budget, progress.wanted)
    squeezed = _squeezed(found, observed) if may_exchange else frozenset()
    one_for_one = may_exchange and (
        is_flooded(found, observed, waited) or makes_room(found, observed, squeezed, waited)
    )
    if is_rolled(found) or base >= progress.wanted:
        return exchange if one_for_one else usual
    if one_for_one and not replaces_one_for_one(found):
        return exchange  # The limit begins anew: the controller takes back what surged beside old pods.
    # Those without room are served one after the other, once nodes exchange one for one.
    limit = _limit(found, observed, waited, base, besides=squeezed)
    now = usual.surge if limit <= base else str(limit)
    return Pace("0", now) if one_for_one else Pace(now)


def _limit(found: Manifest, observed: Observed, waited: Waited, base: int, besides: Collection[str]) -> int:
    """Return how many nodes may change at a time: `base`, and those that wait for a cure, but `besides`.

    It never falls while a change is under way.
    """
    progress, uid, pods = read_progress(found), found["metadata"]["uid"], observed.pods
    before = _allowed(found, progress.wanted) or base
    limits = [before]
    if pods is not None:
        limits.append(base + stalled_nodes(pods, uid, fingerprint_of(found)) - len(besides))
        idle = replaces_one_for_one(found) and not is_pulling(pods, uid)
        if idle and waited(("idle", uid, before)) >= IDLE_PATIENCE:
            limits.append(before + base)
    if waited(("stalled", uid, before, progress.updated)) >= STALL_PATIENCE:
        # Who cannot count the nodes that wait for a cure doubles it: one by one thousands would take days.
        limits.append(before + (base if pods is not None else before))
    return min(max(limits), progress.wanted)


def _squeezed(found: Manifest, observed: Observed) -> frozenset[str]:
    pods = observed.pods or ()
    return frozenset(nodes_without_room_for_two(pods, found["metadata"]["uid"], fingerprint_of(found)))


def makes_room(found: Manifest, observed: Observed, squeezed: frozenset[str], waited: Waited) -> bool:
    """Whether nodes with old pods are to exchange them one for one, as the `squeezed` have no room for two.

    Once begun, it goes on until there are no old pods any more.
    """
    if replaces_one_for_one(found):
        return bool(outdated_nodes(observed.pods or (), found["metadata"]["uid"], fingerprint_of(found)))
    return bool(squeezed) and waited(("squeezed", squeezed)) >= ROOM_PATIENCE


def replaces_one_for_one(daemonset: Manifest) -> bool:
    """Whether the controller takes an old pod away before it makes the new one."""
    strategy = daemonset["spec"].get("updateStrategy", {})
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", 0)
    return strategy.get("type") == "RollingUpdate" and surge in {0, "0%"}


def is_flooded(found: Manifest, observed: Observed, waited: Waited) -> bool:
    """Whether a kubelet refuses pod after pod; once noticed, until none was refused for a while.

    A write begins the controller's patience anew, so that there must not be one after each refusal. What is
    left over of a flood, where kip may not remove it, would hold off a new pod for days: so it surges again.
    """
    uid, pods = found["metadata"]["uid"], observed.pods or ()
    if not replaces_one_for_one(found):
        return bool(nodes_rejecting_pods(pods, uid, FLOOD))
    newest = newest_refusal(pods, uid)
    return waited(("calm", uid, newest)) < (REFUSED_PATIENCE if newest else CALM_SECONDS)


def at_pace(target: Target, chosen: Pace) -> Target:
    """Return the target with that pace, if its strategy is a rolling update."""
    if target.manifest["spec"]["updateStrategy"]["type"] != "RollingUpdate":
        return target
    return Target(_at_pace(target.manifest, chosen), _at_pace(target.expected, chosen))


def _pace_of(found: Manifest) -> Pace | None:
    """Return the pace of the strategy as it is, None where it has none."""
    rolling = found["spec"].get("updateStrategy", {}).get("rollingUpdate")
    if not rolling:
        return None
    return Pace(str(rolling.get("maxSurge", 0)), str(rolling.get("maxUnavailable", 0)))


def _at_pace(manifest: Manifest, chosen: Pace) -> Manifest:
    rolling = {"maxSurge": _value(chosen.surge), "maxUnavailable": _value(chosen.unavailable)}
    strategy = {**manifest["spec"]["updateStrategy"], "rollingUpdate": rolling}
    return {**manifest, "spec": {**manifest["spec"], "updateStrategy": strategy}}


def _value(text: str) -> int | str:
    return text if text.endswith("%") else int(text)


def _allowed(found: Manifest, nodes: int) -> int:
    """Return how many nodes may change at a time by the strategy as it is."""
    rolling = found["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    return max(count_of(str(rolling.get(key, 0)), nodes) for key in ("maxSurge", "maxUnavailable"))


def _holders_stand(found: Manifest, waited: Waited) -> bool:
    """Whether each node has a holder that is Ready, or one that has been waited for long enough.

    A new holder leaves pods that it found alone, and they count as well.
    """
    progress, status = read_progress(found), found.get("status") or {}
    if not progress.current:
        return False
    there = status.get("currentNumberScheduled", 0)
    adopting = found["spec"]["updateStrategy"]["type"] == "OnDelete"
    if progress.ready >= progress.wanted and (adopting or progress.updated >= progress.wanted):
        return True
    counts = (there, progress.ready, progress.updated)
    return waited(("holders", found["metadata"]["uid"], counts)) >= HOLDER_PATIENCE
