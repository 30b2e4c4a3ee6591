"""One reconcile: observe, plan, apply, report."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from kip.cluster.api import Cluster
from kip.cluster.reads import (
    CacheLocation,
    detect_platform,
    observe,
    observe_former,
    read_credentials,
    read_pods,
    read_raw_pods,
)
from kip.config.settings import Platform, Settings
from kip.core.render.daemonset import render
from kip.core.rights import Rights
from kip.core.rollout.bridge import images_of, placeholder_of, selector_of_lost_cache
from kip.core.rollout.pace import limits_pulls
from kip.core.rollout.plan import make_plan, needs_pods
from kip.core.rollout.plan_types import Action, Observed, Plan, Wanted
from kip.core.rollout.progress import Progress, read_progress
from kip.core.rollout.refresh import Stamp, digests_for, digests_on_nodes
from kip.errors import ApiError, Conflict, Forbidden, Invalid, SettingsError
from kip.keeper.drift_backoff import DriftBackoff
from kip.keeper.dry_run import DryRunValidator
from kip.keeper.executor import execute
from kip.keeper.lease import Leadership
from kip.keeper.refresher import Refresher
from kip.keeper.stall_timers import StallTimers

Manifest = dict[str, Any]

CONFLICT_PATIENCE = 60.0
"""Seconds for a net of the same name to go; one that is stuck in its deletion is not waited for for ever."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reconcile did, and the cache as it was read before that.

    `settings` are those that were followed: not the newest when the API server refuses these (`refusal`).
    `repaired`: the change brought back what somebody else had changed. `left_out` says which images
    the API server refuses.
    """

    plan: Plan
    progress: Progress | None
    daemonset: Manifest | None
    settings: Settings
    refresh_at: datetime | None = None
    refusal: SettingsError | None = None
    repaired: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def lacking(self) -> str:
        """Return why the cache is not complete, in words; "" when it is."""
        if self.plan.pending:
            return self.plan.pending
        if self.plan.steps or self.progress is None:
            return "it has just been changed"
        there = f"{self.progress.ready} of {self.progress.wanted} nodes"
        return "" if self.progress.complete else f"{self.progress.state}, {there} are complete"


@dataclass(slots=True)
class Reconciler:
    """Brings the cluster to what the settings say. Remembers only what saves requests, and what it waits for.

    `now` tells the time, `clock` monotonic seconds, `home` is the keeper's own namespace ("" outside a
    cluster), `name` its own name ("" for a look that is not a keeper's). Nothing is lost when the process
    ends at any point: the next one reads all it needs.
    """

    cluster: Cluster
    now: Callable[[], datetime]
    clock: Callable[[], float]
    refresher: Refresher
    home: str = ""
    name: str = ""
    _rights: dict[str, Rights] = field(default_factory=dict)
    _platform: dict[Platform, Platform] = field(default_factory=dict)
    _former: set[CacheLocation] = field(default_factory=set)
    _place: CacheLocation | None = None
    _accepted: Settings | None = None
    _net_refused: bool = False
    _sweep_refused: bool = False
    _left_out: tuple[str, ...] = ()
    _validator: DryRunValidator = field(init=False)
    _waits: StallTimers = field(init=False)
    _fights: DriftBackoff = field(init=False)
    _started: str = field(init=False)

    def __post_init__(self) -> None:
        self._validator = DryRunValidator(self.cluster, self.clock)
        self._waits = StallTimers(self.clock)
        self._fights = DriftBackoff(self.clock)
        self._started = self.now().isoformat(timespec="microseconds") if self.name else ""

    def reconcile(self, settings: Settings, leadership: Leadership | None = None) -> Outcome:
        """Do the next step, and say what that was. Raises ApiError, OwnershipError and SettingsError.

        `leadership` is asked again before anything is written, as a look may take long; None: nobody else is
        there.
        """
        with self._waits.round():
            return self._reconcile(settings, leadership)

    def _reconcile(self, settings: Settings, leadership: Leadership | None) -> Outcome:
        exclusive = leadership is not None and leadership.exclusive
        refusal: SettingsError | None = None
        try:
            self._remember(settings)
            observed, plan = self.look(settings, exclusive=exclusive)
        except SettingsError as error:
            if self._accepted is None or self._accepted == settings:
                raise
            settings, refusal = self._accepted, error
            self._remember(settings)
            observed, plan = self.look(settings, exclusive=exclusive)
        self._accepted = settings
        self._fights.asked(settings)
        found = observed.daemonset
        if plan.steps and (reason := self._fights.held_back(plan.steps[0], found)):
            plan = Plan(pending=reason)
        if plan.steps and leadership and not leadership.hold():
            plan = Plan(pending="the lease has run out")
        repaired = bool(plan.steps) and self._fights.is_repair(plan.steps[0], found)
        if plan.steps:
            self._carry_out(plan)
        progress = read_progress(found) if found else None
        refresh_at = self.refresher.next_at(settings, found)
        return Outcome(plan, progress, found, settings, refresh_at, refusal, repaired, self._left_out)

    def look(self, settings: Settings, *, exclusive: bool = False) -> tuple[Observed, Plan]:
        """Observe and plan; nothing is changed. `exclusive`: no other keeper acts, says the lease."""
        rights = self.rights(settings.namespace)
        observed = observe(self.cluster, settings, rights, self._former)
        for namespace in self._former_namespaces(settings):
            left = observe_former(self.cluster, settings, namespace, self.rights(namespace), self._former)
            observed = replace(observed, others=observed.others + left)
        # A net that is not seen could not be counted on, nor be removed.
        blind = not rights.allow("list", "daemonsets", group="apps")
        # The lease says more about who is to act than the times at which keepers started.
        started = "" if exclusive else self._started
        observed = replace(
            observed,
            net_refused=self._net_refused or blind,
            sweep_refused=self._sweep_refused,
            started=started,
        )
        wanted = self._wanted(settings, observed)
        places = {settings.namespace, *(other["metadata"]["namespace"] for other in observed.others)}
        if needs_pods(observed) and all(self.rights(place).allow("list", "pods") for place in places):
            lists = [*observed.others, wanted.cache.expected, *filter(None, [observed.daemonset])]
            observed = replace(observed, pods=read_pods(self.cluster, places, lists))
        return observed, make_plan(wanted, observed, self._waits)

    def rights(self, namespace: str) -> Rights:
        """Return the rights in `namespace`, asked for once until `forget`."""
        if namespace not in self._rights:
            self._rights[namespace] = self.cluster.rights(namespace)
        return self._rights[namespace]

    def forget(self) -> None:
        """Ask again for rights, platform and defaults at the next reconcile."""
        self._rights.clear()
        self._platform.clear()
        self._validator.forget()
        self._net_refused = self._sweep_refused = False

    def _wanted(self, settings: Settings, observed: Observed) -> Wanted:
        found = observed.daemonset
        platform = self._platform_of(settings)
        stamp = self._stamp(settings, found)
        if found:
            selector = found["spec"]["selector"].get("matchLabels")
        else:
            selector = selector_of_lost_cache(observed.others, settings.daemonset_name)

        def rendered(chosen: Settings) -> Manifest:
            return render(
                chosen,
                platform=platform,
                owner=observed.owner,
                refreshed_at=stamp.refreshed_at,
                digests=digests_for(chosen, stamp),
                selector=selector,
            )

        caches = [*filter(None, [found]), *observed.others]
        cached = frozenset[str]().union(*map(images_of, caches))
        accepted, cache = self._validator.accept(settings, rendered, cached)
        self._left_out = tuple(
            f"image {entry} is refused by the API server"
            for entry in settings.images
            if entry not in accepted.images
        )
        if not limits_pulls(accepted.max_surge):
            return Wanted(cache)
        holder = self._validator.target(placeholder_of(cache.manifest, adopts=found is None))
        return Wanted(cache, holder, accepted.max_surge)

    def _stamp(self, settings: Settings, found: Manifest | None) -> Stamp:
        rights = self.rights(settings.namespace)

        def seen() -> dict[str, frozenset[str]]:
            if found is None or not rights.allow("list", "pods"):
                return {}
            return digests_on_nodes(read_raw_pods(self.cluster, found))

        return self.refresher.stamp(
            settings, found, lambda: read_credentials(self.cluster, settings, rights), seen
        )

    def _carry_out(self, plan: Plan) -> None:
        try:
            execute(plan, self.cluster, f"{self._started} {self.name}" if self.name else "")
        except (Forbidden, Invalid, Conflict) as error:
            step = plan.steps[0]
            if step.action is Action.SWEEP and not isinstance(error, Conflict):
                self._note_sweep_refused(error)
                return
            stuck = self._waits(("conflict", step.name)) >= CONFLICT_PATIENCE
            if step.action is not Action.SPREAD or (isinstance(error, Conflict) and not stuck):
                raise
            # A quota or a policy. The cache has to change all the same, as well as it can.
            self._net_refused = True
            log.warning(
                "net_refused",
                error=str(error),
                consequence="images of pods that are not ready are let go of for seconds while they change",
                remedy="let the keeper create a second DaemonSet whose containers request nothing",
            )
        else:
            for step in plan.steps:
                self._fights.wrote(step)
            if plan.steps[0].action not in {Action.SPREAD, Action.RETIRE, Action.SWEEP}:
                # What the server makes of a manifest is asked afresh after each change.
                self._validator.forget()

    def _note_sweep_refused(self, error: ApiError) -> None:
        self._sweep_refused = True
        log.warning(
            "refused_pods_left",
            error=str(error),
            consequence="a node that refused many pods, as its disk was full, waits a quarter of an hour",
            remedy="let the keeper delete pods of the cache that have failed",
        )

    def _remember(self, settings: Settings) -> None:
        """Note where the cache is, so that it is found when its name or namespace changes."""
        place = CacheLocation(settings.namespace, settings.daemonset_name)
        if self._place and self._place != place:
            self._former.add(self._place)
        self._former.discard(place)
        self._place = place

    def _former_namespaces(self, settings: Settings) -> list[str]:
        places = {place.namespace for place in self._former} | {self.home}
        return sorted(places - {"", settings.namespace})

    def _platform_of(self, settings: Settings) -> Platform:
        if settings.platform not in self._platform:
            self._platform[settings.platform] = detect_platform(self.cluster, settings.platform)
        return self._platform[settings.platform]
