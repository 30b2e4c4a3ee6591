"""The values that a plan is made of, and made from."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from kip.core.render.daemonset import Owner
from kip.core.rights import Rights
from kip.core.rollout.cache_pods import CachePod, PodId

Manifest = dict[str, Any]


class Waited(Protocol):
    """How many seconds the plan has asked about the same thing, in a row: 0 when it is new.

    What is `left` to wait for counts too: whenever it is less than ever before, the seconds begin anew.
    """

    def __call__(self, key: Hashable, left: int = 0) -> float: ...  # noqa: D102


class Action(StrEnum):
    """What one step does to a DaemonSet."""

    CREATE = "create"
    APPLY = "apply"
    """In place, by server-side apply."""
    REPLACE = "replace"
    """Without the right to patch: delete it, orphan its pods, create it anew; it adopts and rolls them."""
    SPREAD = "spread"
    """Create a net, which holds the pins while the cache changes."""
    RETIRE = "retire"
    """Delete a net, or the cache of an earlier name, with its pods: what it held the cache holds now."""
    RELEASE = "release"
    """Deleted in the foreground, it waits for pods on nodes that may be dead: let it go without them."""
    SWEEP = "sweep"
    """Delete pods that their kubelets refused, and that keep the controller from trying again."""
    WAIT = "wait"
    """It is being deleted; its end wakes the keeper."""
    REFUSE = "refuse"
    """It belongs to somebody else."""


WRITES = frozenset({Action.CREATE, Action.APPLY, Action.REPLACE})
"""What changes the cache itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """A DaemonSet to write, and what the API server makes of it (the answer to a dry run)."""

    manifest: Manifest
    expected: Manifest


@dataclass(frozen=True, slots=True)
class Wanted:
    """The cache that the settings ask for.

    `holder` is the stage before it, None where all nodes may pull at once; `budget` is MAX_SURGE.
    """

    cache: Target
    holder: Target | None = None
    budget: str = "100%"


@dataclass(frozen=True, slots=True)
class Observed:
    """The cluster as it was read at the beginning of a reconcile.

    `others` are our nets and the caches of earlier names, `pods` the pods of all of them: None when they may
    not be read or were not asked for. `net_refused`: the API server does not let us have a net,
    `sweep_refused`: nor delete pods. `started` is when this keeper started (RFC 3339), "" for a look that is
    not a keeper's.
    """

    daemonset: Manifest | None
    owner: Owner | None
    rights: Rights
    others: tuple[Manifest, ...] = ()
    pods: tuple[CachePod, ...] | None = None
    net_refused: bool = False
    sweep_refused: bool = False
    started: str = ""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One action on the DaemonSet `name`, and why.

    `manifest` is what to write and `spec` the spec that the API server makes of it; `uid` and
    `generation` are those of the object that was looked at ("" and 0 for none): the step changes no other.
    `pods` are those to sweep.
    """

    action: Action
    namespace: str
    name: str
    reasons: tuple[str, ...]
    manifest: Manifest
    spec: Manifest
    uid: str = ""
    generation: int = 0
    pods: tuple[PodId, ...] = ()

    @classmethod
    def on(
        cls, target: Target, action: Action, reasons: tuple[str, ...], found: Manifest | None = None
    ) -> Self:
        """Return the step that makes `target` of `found`."""
        metadata, seen = target.manifest["metadata"], found["metadata"] if found else {}
        return cls(
            action,
            metadata["namespace"],
            metadata["name"],
            reasons,
            manifest=target.manifest,
            spec=target.expected["spec"],
            uid=seen.get("uid", ""),
            generation=seen.get("generation", 0),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in order; none and nothing `pending` means that everything is as it should be.

    `pending` says what has to happen in the cluster before the next step; it is to be looked at again soon.
    `incomplete`: nothing is to be done, but not all cache pods are well; worth a look now and then.
    """

    steps: tuple[PlannedStep, ...] = ()
    pending: str = ""
    incomplete: bool = False

    @property
    def summary(self) -> str:
        """Return the actions in a word or two: `apply`, `nothing`."""
        words = [step.action.value for step in self.steps] or ["await" if self.pending else "nothing"]
        return ", ".join(words)
