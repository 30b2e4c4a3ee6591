"""How many nodes change at a time: MAX_SURGE, for the first fill, for edits, and when a rollout stalls.

The DaemonSet controller obeys maxSurge only where an old pod is Ready. So where it is limited a new cache
begins with holders (see `kip.core.stand_ins`), and so does a change of a cache with more pods that are not
Ready than the limit allows. A node whose newest pod waits for a cure (an image that does not exist) would
use up the limit for ever: it is raised by the number of such nodes, which rolls nothing again.
"""

from dataclasses import replace
from math import ceil

from kip.core.compare import differences
from kip.core.pins import stalled_nodes
from kip.core.progress import read_progress
from kip.core.stand_ins import fingerprint_of
from kip.core.steps import Manifest, Observed, Target, Waited, Wanted

HOLDER_PATIENCE = 20.0
"""Seconds without one more holder that is Ready, after which nodes that have none are not waited for."""

STALL_PATIENCE = 300.0
"""Seconds without one more node done, after which a rollout counts as stalled if pods may not be read."""


def count_of(budget: str, nodes: int) -> int:
    """Return how many of `nodes` may change at a time; percentages are rounded up, as Kubernetes does."""
    return ceil(nodes * int(budget[:-1]) / 100) if budget.endswith("%") else int(budget)


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
    progress = read_progress(found)
    rolls = any(differences(wanted.cache.expected["spec"]["template"], found["spec"]["template"]))
    unready = progress.wanted - progress.ready
    if rolls and unready > count_of(wanted.budget, progress.wanted):
        return wanted.holder
    return wanted.cache


def surge(wanted: Wanted, observed: Observed, waited: Waited) -> str:
    """Return maxSurge for now: MAX_SURGE, and more while a rollout is stalled."""
    found = observed.daemonset
    if found is None or fingerprint_of(found) != fingerprint_of(wanted.cache.manifest):
        return wanted.budget
    progress = read_progress(found)
    base = count_of(wanted.budget, progress.wanted)
    if base >= progress.wanted or (progress.current and progress.updated >= progress.wanted):
        return wanted.budget
    before = _surge_of(found, progress.wanted) or base
    raised = before
    if observed.pods is not None:
        stalled = stalled_nodes(observed.pods, found["metadata"]["uid"], fingerprint_of(found))
        raised = base + stalled
    elif waited(("stalled", found["metadata"]["uid"], before, progress.updated)) >= STALL_PATIENCE:
        raised = before + base
    raised = min(max(raised, before), progress.wanted)
    return wanted.budget if raised <= base else str(raised)


def with_surge(target: Target, maximum: str) -> Target:
    """Return the target with that maxSurge, if its strategy has one."""
    value: int | str = maximum if maximum.endswith("%") else int(maximum)
    if target.manifest["spec"]["updateStrategy"].get("rollingUpdate", {}).get("maxSurge", value) == value:
        return target
    return replace(
        target, manifest=_with_surge(target.manifest, value), expected=_with_surge(target.expected, value)
    )


def _with_surge(manifest: Manifest, value: int | str) -> Manifest:
    strategy = manifest["spec"]["updateStrategy"]
    rolling = {**strategy, "rollingUpdate": {**strategy["rollingUpdate"], "maxSurge": value}}
    return {**manifest, "spec": {**manifest["spec"], "updateStrategy": rolling}}


def _surge_of(found: Manifest, nodes: int) -> int:
    value = (found["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}).get("maxSurge", 0)
    return count_of(str(value), nodes)


def _holders_stand(found: Manifest, waited: Waited) -> bool:
    """Whether each node has a holder that is Ready, or one that has been waited for long enough.

    A new holder leaves pods that it found alone, and they count as well.
    """
    progress, status = read_progress(found), found.get("status") or {}
    if not progress.current or status.get("currentNumberScheduled", 0) < progress.wanted:
        return False
    adopting = found["spec"]["updateStrategy"]["type"] == "OnDelete"
    if progress.ready >= progress.wanted and (adopting or progress.updated >= progress.wanted):
        return True
    counts = (progress.ready, progress.updated)
    return waited(("holders", found["metadata"]["uid"], counts)) >= HOLDER_PATIENCE
