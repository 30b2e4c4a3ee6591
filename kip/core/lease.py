"""The lease that tells which of several keepers of one cache acts: what to do about it, without doing it.

Source of the rules: client-go's leaderelection (`tryAcquireOrRenew`) and coordination.k8s.io/v1. No clock of
another machine is trusted: a lease has expired when it has not changed for its duration while we looked.

The figures, in seconds. A cache does its work without a keeper, so that few requests count for more than a
fast succession: a keeper that ended in order is succeeded within LOOK, one that died within DURATION + LOOK.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Manifest = dict[str, Any]

DURATION_SECONDS = 45
"""How long others leave the lease alone after its last renewal: two renewals may fail before."""

HOLD_SECONDS = 30.0
"""How long its holder relies on it after its last renewal: two thirds of the duration, as in client-go. The
rest is for what it is doing then to end before somebody else begins."""

RENEW_SECONDS = 15.0
"""How often its holder renews it: 4 requests a minute."""

LOOK_SECONDS = 5.0
"""How often a standby looks at it: the tick of the keeper's loop, so that it costs no wake-up of its own."""


class LeaseStep(StrEnum):
    """What to do about the lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def decide(lease: Manifest | None, me: str, *, now: float, since: float) -> LeaseStep:
    """Return what the keeper named `me` does about the lease as read.

    `now` and `since` are seconds of our own monotonic clock: `since` is when we first saw it as it is.
    """
    if lease is None:
        return LeaseStep.CREATE
    holder = holder_of(lease)
    if holder == me:
        return LeaseStep.RENEW
    promised = _spec(lease).get("leaseDurationSeconds") or DURATION_SECONDS
    return LeaseStep.TAKE if not holder or now - since >= promised else LeaseStep.WAIT


def holder_of(lease: Manifest | None) -> str:
    """Return who holds the lease by what it says, empty when nobody does."""
    return str(_spec(lease).get("holderIdentity") or "")


def same(lease: Manifest | None, other: Manifest | None) -> bool:
    """Whether nobody took or renewed the lease between two readings; its labels do not count."""
    return _spec(lease) == _spec(other)


def held(lease: Manifest | None, me: str, now: datetime) -> Manifest:
    """Return the lease to write so that `me` holds it from `now`, or goes on to hold it.

    What is not ours in it stays, and so does its resourceVersion, which makes the update conditional.
    """
    spec, time = _spec(lease), _micro_time(now)
    ours = {"holderIdentity": me, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": time}
    if holder_of(lease) != me:
        transitions = spec.get("leaseTransitions") or 0
        ours |= {"acquireTime": time, "leaseTransitions": transitions + 1 if lease else 0}
    return {**(lease or {}), "spec": {**spec, **ours}}


def released(lease: Manifest, now: datetime) -> Manifest:
    """Return the lease to write so that nobody holds it, and the next keeper that looks takes it."""
    return {**lease, "spec": {**_spec(lease), "holderIdentity": "", "renewTime": _micro_time(now)}}


def _spec(lease: Manifest | None) -> Manifest:
    return (lease or {}).get("spec") or {}


def _micro_time(moment: datetime) -> str:
    """Return a MicroTime as the API server reads it: UTC, always six digits."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
