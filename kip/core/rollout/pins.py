"""Which node would lose which image: what the plan asks before it gives up any pod.

All of it is per node, as one bad node must not decide for the others. `Pins` maps nodes to images.
"""

from collections.abc import Callable, Collection, Iterable

from kip.core.rollout.cache_pods import CachePod, PodId

Images = frozenset[str]
Pins = dict[str, Images]


def pins_at_risk(
    pods: Iterable[CachePod], cache: str, images: Images, *, template: str, by_any_roll: bool
) -> Pins:
    """Return the pins that a roll of the cache (its uid) would give up before their successors stand.

    A node whose oldest pod is Ready and holds all that is held there is safe, as the surge keeps that pod
    until its successor is Ready; with `by_any_roll` it is not. A node whose pods are all made from
    `template` (a fingerprint), the one to come, is not rolled at all.
    """
    found: Pins = {}
    for node, group in _by_node(pod for pod in pods if pod.owner == cache).items():
        held = _pins(pod for pod in group if not pod.silent) & images
        done = all(pod.template == template for pod in group)
        if held and not done and (by_any_roll or not _outlives(group, held)):
            found[node] = held
    return found


def without_pods(pins: Pins, pods: Iterable[CachePod], holders: Collection[str]) -> Pins:
    """Return what of `pins` is not held by pods of `holders` (uids of DaemonSets)."""
    held = _by_node(pod for pod in pods if pod.owner in holders)
    rest = {node: images - _pins(held.get(node, ())) for node, images in pins.items()}
    return {node: images for node, images in rest.items() if images}


def still_needed(
    pods: tuple[CachePod, ...],
    stand_in: str,
    *,
    cache: str,
    template: str,
    images: Images,
    others: Collection[str],
    surges: bool,
    counted: bool,
    given_up: Callable[[str], bool],
) -> Pins:
    """Return what would be lost if the DaemonSet `stand_in` went now: it holds it, and nobody else for sure.

    For sure means: by a pod of the cache made from its newest template, or, if it `surges`, by one that is
    Ready; or by one of the `others` that stay. `counted`: every node that the cache selects has a pod of it,
    so that a node without one is no longer wanted. `given_up` tells of a node whose kubelet has not taken up
    its cache pod for long.
    """
    cached = _by_node(pod for pod in pods if pod.owner == cache)
    needed: Pins = {}
    for node, group in _by_node(pod for pod in pods if pod.owner == stand_in and not pod.silent).items():
        successors = cached.get(node, [])
        if not successors and counted:
            continue
        if successors and not any(pod.started or pod.homeless for pod in successors) and given_up(node):
            continue
        sure = _pins(pod for pod in successors if pod.template == template or (pod.ready and surges))
        if held := (_pins(group) & images) - sure:
            needed[node] = held
    return without_pods(needed, pods, others)


def nodes_of(pods: Iterable[CachePod], cache: str) -> set[str]:
    """Return the nodes that have a pod of the cache which stays."""
    return {pod.node for pod in pods if pod.owner == cache}


def outdated_nodes(pods: Iterable[CachePod], cache: str, template: str) -> set[str]:
    """Return the nodes that still have a pod of an earlier template. A refused one takes up no room."""
    return {pod.node for pod in pods if pod.owner == cache and pod.template != template and not pod.refused}


def nodes_without_room_for_two(pods: Iterable[CachePod], cache: str, template: str) -> set[str]:
    """Return the nodes whose newest pod waits for the room that the one before it takes up.

    None of them if there are nodes without room for one more pod, however small: no net could be spread
    there, so better all wait.
    """
    own = [pod for pod in pods if pod.owner == cache]
    newest = [pod for pod in own if pod.template == template and pod.homeless]
    if not all(pod.squeezed for pod in newest):
        return set()
    return {pod.node for pod in newest} & outdated_nodes(own, cache, template)


def nodes_rejecting_pods(pods: Iterable[CachePod], cache: str, at_least: int) -> set[str]:
    """Return the nodes on which the kubelet has refused so many pods of the cache that are still there."""
    groups = _by_node(pod for pod in pods if pod.owner == cache and pod.refused)
    return {node for node, group in groups.items() if len(group) >= at_least}


def surplus_rejected_pods(pods: Iterable[CachePod], cache: str) -> tuple[PodId, ...]:
    """Return the refused pods of the cache but the newest of each node."""
    groups = _by_node(pod for pod in pods if pod.owner == cache and pod.refused)
    surplus = [pod.refused for group in groups.values() for pod in sorted(group, key=_age)[:-1]]
    return tuple(filter(None, surplus))


def newest_refusal(pods: Iterable[CachePod], cache: str) -> str:
    """Return when the last pod was made that was refused and is still there; "" without one."""
    return max((pod.born for pod in pods if pod.owner == cache and pod.refused), default="")


def unschedulable_nodes(pods: Iterable[CachePod], cache: str) -> set[str]:
    """Return the nodes on which a pod of the cache finds no place."""
    return {pod.node for pod in pods if pod.owner == cache and pod.homeless}


def stalled_nodes(pods: Iterable[CachePod], cache: str, template: str) -> int:
    """Return on how many nodes the newest pod is not Ready, but pulls nothing either: it waits for a cure."""
    groups = _by_node(pod for pod in pods if pod.owner == cache and pod.template == template)
    return sum(
        all(not pod.ready and (pod.settled or pod.homeless or pod.refused) for pod in group)
        for group in groups.values()
    )


def is_pulling(pods: Iterable[CachePod], cache: str) -> bool:
    """Whether a pod of the cache is being started, or pulls."""
    return any(
        pod.owner == cache
        and pod.started
        and not (pod.ready or pod.settled or pod.homeless or pod.silent or pod.refused)
        for pod in pods
    )


def _outlives(group: list[CachePod], held: Images) -> bool:
    """Whether the pod that the controller keeps through a roll holds it all: the oldest, if it is Ready."""
    oldest, *others = sorted(group, key=_age)
    older = all(pod.born > oldest.born for pod in others)
    return older and oldest.ready and held <= oldest.pins


def _age(pod: CachePod) -> str:
    return pod.born


def _by_node(pods: Iterable[CachePod]) -> dict[str, list[CachePod]]:
    groups: dict[str, list[CachePod]] = {}
    for pod in pods:
        groups.setdefault(pod.node, []).append(pod)
    return groups


def _pins(pods: Iterable[CachePod]) -> Images:
    return frozenset().union(*(pod.pins for pod in pods))
