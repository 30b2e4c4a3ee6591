"""One lease on the API server: read, taken, renewed and given back, each write only on what was read."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kip.cluster.api import LEASES, Cluster, Manifest
from kip.core.lease import LeaseStep, decide, held, holder_of, released, same
from kip.core.render.daemonset import Owner
from kip.errors import Conflict, NotFound


@dataclass(slots=True)
class LeaseObject:
    """The lease `name`, for the keeper `me`. `now` is wall time, `clock` monotonic seconds.

    `owner` tells what a lease that we make belongs to, so that none is left when the keeper is uninstalled.
    One that is there already keeps the owners it has: to change them can need the right to delete it
    (OwnerReferencesPermissionEnforcement).

    Raises ApiError as it comes, but a conflict only says that somebody else was faster; it is raised where
    nobody was.
    """

    cluster: Cluster
    namespace: str
    name: str
    me: str
    now: Callable[[], datetime]
    clock: Callable[[], float]
    owner: Callable[[], Owner | None] = lambda: None
    _lease: Manifest | None = None
    _seen_since: float = -math.inf

    @property
    def holder(self) -> str:
        """Return who holds the lease, as last read; empty when nobody does, or it was not read yet."""
        return holder_of(self._lease)

    @property
    def transitions(self) -> int:
        """Return how often the lease changed hands."""
        return int(((self._lease or {}).get("spec") or {}).get("leaseTransitions") or 0)

    def renew(self) -> bool:
        """Renew our lease in one request; False when somebody wrote to it since we did."""
        return self.holder == self.me and self._write(LeaseStep.RENEW)

    def take(self) -> bool:
        """Read the lease, and take it if it is free or ours; False when another has it."""
        self._read()
        step = decide(self._lease, self.me, now=self.clock(), since=self._seen_since)
        if step is LeaseStep.WAIT:
            return False
        if self._write(step):
            return True
        self._read()  # to know who was faster
        if self.holder == self.me:
            raise Conflict(f"lease {self.namespace}/{self.name}: it is ours, and cannot be renewed")
        return False

    def give_back(self) -> bool:
        """Let nobody hold the lease, if we do; False when it is not ours."""
        self._read()
        if self._lease is None or self.holder != self.me:
            return False
        self._lease = self._update(released(self._lease, self.now()))
        return True

    def _read(self) -> None:
        lease = self.cluster.get(LEASES, self.namespace, self.name)
        if not same(lease, self._lease):
            self._seen_since = self.clock()
        self._lease = lease

    def _write(self, step: LeaseStep) -> bool:
        lease = held(self._lease, self.me, self.now())
        try:
            self._lease = self._create(lease) if step is LeaseStep.CREATE else self._update(lease)
        except Conflict:
            return False
        return True

    def _create(self, lease: Manifest) -> Manifest:
        kind = {"apiVersion": f"{LEASES.group}/{LEASES.version}", "kind": LEASES.kind}
        metadata: Manifest = {"name": self.name, "namespace": self.namespace}
        if owner := self.owner():
            metadata["ownerReferences"] = [owner.reference]
        return self.cluster.create(LEASES, self.namespace, {**kind, "metadata": metadata, **lease})

    def _update(self, lease: Manifest) -> Manifest:
        try:
            return self.cluster.update(LEASES, self.namespace, self.name, lease)
        except NotFound as gone:
            raise Conflict(str(gone)) from gone  # a lease that was deleted is one that changed
