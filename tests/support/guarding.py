"""What tests of the guard start from: a cache on three nodes, a net, and the plan for them."""

from samples import COMPLETE, OWNER, manifest, pod, stored

from kip.core.rights import Rights, Rule
from kip.core.rollout.bridge import bridge_for
from kip.core.rollout.plan import Observed, Target, Wanted, make_plan

PATCH = Rights((Rule(frozenset({"patch"}), frozenset({"apps"}), frozenset({"daemonsets"}), frozenset()),))
A, B = "registry.example/a:1.0.0", "registry.example/b:1.0.0"
OLD, NEW = manifest(f"a={A}"), manifest(f"a={A};b={B}")
FILLING = {**COMPLETE, "numberReady": 1, "numberAvailable": 1}


def cache(wanted=OLD, status=FILLING) -> dict:
    return stored(wanted) | {"status": status}


def uid() -> str:
    return cache()["metadata"]["uid"]


def net(images=(A,), nodes=None, status=None) -> dict:
    made = stored(bridge_for(NEW, cache(), images, nodes), uid="net")
    return made | {"status": status or {}}


def plan(found, *, wanted=NEW, pods=None, others=(), rights=PATCH, waited=0.0, **observed):
    seen = Observed(found, OWNER, rights, tuple(others), pods, **observed)
    return make_plan(Wanted(Target(wanted, wanted)), seen, lambda *_: waited)


def action(*arguments, **values) -> str:
    made = plan(*arguments, **values)
    return made.steps[0].action.value if made.steps else "wait" if made.pending else "nothing"


ILL = (pod(A, owner=uid()),)
HELD = (*ILL, pod(A, owner="net"))
"""The pods of a cache that is not ready on one node; and with a net that holds its image."""
