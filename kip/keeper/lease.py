"""Whether this keeper is the one to act: of several for one cache only the holder of its lease is.

Several there are with two replicas, or while a rolling update exchanges the keeper. What a lease is, and the
figures, are in `kip.core.lease`.
"""

import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from kip.cluster.api import LEASES, Cluster
from kip.cluster.backoff import FORBIDDEN_SECONDS
from kip.cluster.reads import read_deployment
from kip.core.lease import DURATION_SECONDS, HOLD_SECONDS, LOOK_SECONDS, RENEW_SECONDS
from kip.core.render.daemonset import Owner
from kip.core.rights import Rights
from kip.errors import ApiError, Forbidden, InternalError, KipError
from kip.keeper.lease_object import LeaseObject

NEVER = -math.inf

log = structlog.get_logger()


def identity(environment: Mapping[str, str]) -> str:
    """Return the name that this keeper holds the lease under: POD_NAME, or the host name, which is the pod's.

    Nothing random is in it, so that a container that is restarted in its pod goes on at once. Keepers that
    run at the same time must differ in it: on the host network they need POD_NAME.
    """
    return environment.get("POD_NAME", "").strip() or socket.gethostname()


@dataclass(slots=True)
class Leadership:
    """Holds the lease of one cache as `me`, or waits for it. For one thread.

    `now` is wall time, only written down for people; `clock` monotonic seconds, by which everything is
    decided. `rights` tells the rights in a namespace, and remembers them. Without the right to a lease this
    keeper acts as if it were alone.
    """

    cluster: Cluster
    me: str
    rights: Callable[[str], Rights]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    holding: bool = False
    error: KipError | None = None
    """Why the newest look at the lease failed, None when it did not."""

    _lease: LeaseObject | None = None
    _until: float = NEVER
    _due: float = NEVER
    _without: bool = False
    _waiting_for: str = ""
    _refused_since: float = math.inf

    @property
    def holder(self) -> str:
        """Return who holds the lease, as last read; empty when nobody does, or nothing is known."""
        return self._lease.holder if self._lease else ""

    @property
    def in_time(self) -> bool:
        """Whether this keeper may still act, at this moment."""
        return self.clock() < self._until

    @property
    def exclusive(self) -> bool:
        """Whether no other keeper acts: this one really holds the lease."""
        return self.in_time and not self._without

    def follow(self, namespace: str, name: str, deployment: str = "") -> None:
        """Hold the lease of this cache from now on, and let go of another's.

        A lease that has to be made belongs to our `deployment`, where one is named and may be read.
        """
        if self._lease and (self._lease.namespace, self._lease.name) == (namespace, name):
            return
        self.release()
        owner = partial(self._owner, namespace, deployment)
        self._lease = LeaseObject(self.cluster, namespace, name, self.me, self.now, self.clock, owner)

    def hold(self) -> bool:
        """Whether this keeper is the one to act. Asks the API server only when that is due; never raises."""
        if self._lease and self.clock() >= self._due:
            self._look(self._lease)
        before, self.holding = self.holding, self.in_time
        if before and not self.holding:
            self._warn("lease_lost", holder=self.holder, error=str(self.error) if self.error else None)
        return self.holding

    def release(self) -> None:
        """Let go of the lease, so that the next keeper need not wait for its end; `follow` comes back to it.

        It is read again for that: a signal may have come in the middle of taking it.
        """
        try:
            if self._lease and not self._without and self._lease.give_back():
                log.info("lease_released", **self._named())
        except KipError as error:
            self._warn(
                "lease_not_released",
                error=str(error),
                consequence=f"the next keeper waits for {DURATION_SECONDS} s",
            )
        self._lease, self.holding, self.error = None, False, None
        self._until, self._due, self._without, self._waiting_for = NEVER, NEVER, False, ""
        self._refused_since = math.inf

    def _look(self, lease: LeaseObject) -> None:
        """Take or renew the lease if we may; set until when we hold it, and when to look again."""
        started, self.error = self.clock(), None
        refused_since, self._refused_since = min(self._refused_since, started), math.inf
        try:
            if missing := self._missing(lease):
                self._do_without(f"not granted: {', '.join(missing)}", started)
            elif (self.holding and lease.renew()) or lease.take():
                self._holds(lease, started)
            else:
                self._waits(lease, started)
        except Forbidden as error:
            self._refused_since = refused_since
            self._forbidden(error, lease, started)
        except KipError as error:
            self._failed(error)
        except Exception as error:  # the outermost frame of a tick: a fault must not end the loop
            log.warning("fault", exc_info=True)
            self._failed(InternalError(error))

    def _owner(self, namespace: str, deployment: str) -> Owner | None:
        found = read_deployment(self.cluster, namespace, deployment, self.rights(namespace))
        return found.owner if found else None

    def _forbidden(self, error: Forbidden, lease: LeaseObject, started: float) -> None:
        """Do without the lease; but an API server that is just starting may refuse what is granted."""
        granted = not self.rights(lease.namespace).incomplete
        if granted and started - self._refused_since < FORBIDDEN_SECONDS:
            self._failed(error)
        else:
            self._do_without(str(error), started)

    def _missing(self, lease: LeaseObject) -> list[str]:
        """Return the verbs that are not granted. RBAC limits no `create` to a name, as it comes without."""
        rights = self.rights(lease.namespace)
        names = {"get": lease.name, "create": "", "update": lease.name}
        allow = (
            rights.allow(verb, LEASES.plural, group=LEASES.group, name=name) for verb, name in names.items()
        )
        return [
            verb for verb, allowed in zip(names, allow, strict=True) if not (allowed or rights.incomplete)
        ]

    def _holds(self, lease: LeaseObject, started: float) -> None:
        if not self.holding or self._without:
            log.info("lease_acquired", **self._named(), transitions=lease.transitions)
        self._until, self._due = started + HOLD_SECONDS, started + RENEW_SECONDS
        self._without, self._waiting_for = False, ""

    def _waits(self, lease: LeaseObject, started: float) -> None:
        if lease.holder not in ("", self._waiting_for):
            log.info("lease_waiting", **self._named(), holder=lease.holder)
        self._until, self._due = NEVER, started + LOOK_SECONDS
        self._without, self._waiting_for = False, lease.holder

    def _do_without(self, why: str, started: float) -> None:
        if not self._without:
            self._warn(
                "lease_not_used",
                problem=why,
                consequence="another keeper of this cache would act at the same time",
                remedy=f"grant get, create and update on {LEASES.plural} of {LEASES.group}",
            )
        self._until, self._due, self._without = math.inf, started + FORBIDDEN_SECONDS, True

    def _failed(self, error: KipError) -> None:
        """Go on with what is known. The loop's ticks and its retries are the pace of further looks."""
        self.error = error
        asked = error.retry_after if isinstance(error, ApiError) else None
        self._due = self.clock() + (asked or 0.0)

    def _warn(self, event: str, **what: object) -> None:
        log.warning(event, **self._named(), **what)

    def _named(self) -> dict[str, str]:
        return {"lease": f"{self._lease.namespace}/{self._lease.name}", "me": self.me} if self._lease else {}
