"""One reconcile: observe, plan, apply, report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kip.cluster.api import DAEMONSETS, Cluster
from kip.config.settings import Platform, Settings
from kip.core.plan import Observed, Plan, make_plan, refresh_stamp
from kip.core.progress import Progress, read_progress
from kip.core.render import render
from kip.core.rights import Rights
from kip.keeper.applying import carry_out
from kip.keeper.observing import detect_platform, observe

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reconcile did, and the cache as it was read before that."""

    plan: Plan
    progress: Progress | None
    daemonset: Manifest | None


@dataclass(slots=True)
class Reconciler:
    """Brings the cluster to what the settings say. Remembers only what saves requests.

    `now` tells the time. Nothing is lost when the process ends at any point: the next one reads all it needs.
    """

    cluster: Cluster
    now: Callable[[], datetime]
    _rights: dict[str, Rights] = field(default_factory=dict)
    _platform: dict[Platform, Platform] = field(default_factory=dict)
    _dry_run: tuple[Manifest, Manifest] | None = None

    def reconcile(self, settings: Settings) -> Outcome:
        """Do what is to be done, and say what that was. Raises ApiError and OwnershipError."""
        observed, plan = self.look(settings)
        if plan.steps:
            self._dry_run = None  # what the server makes of a manifest is asked afresh after each change
            carry_out(plan, self.cluster)
        found = observed.daemonset
        return Outcome(plan, read_progress(found) if found else None, found)

    def look(self, settings: Settings) -> tuple[Observed, Plan]:
        """Observe and plan; nothing is changed."""
        observed = observe(self.cluster, settings, self.rights(settings.namespace))
        found = observed.daemonset
        wanted = render(
            settings,
            platform=self._platform_of(settings),
            owner=observed.owner,
            refreshed_at=refresh_stamp(settings, found, self.now()),
            selector=found["spec"]["selector"].get("matchLabels") if found else None,
        )
        return observed, make_plan(wanted, self._expected(wanted), observed)

    def rights(self, namespace: str) -> Rights:
        """Return the rights in `namespace`, asked for once until `forget`."""
        if namespace not in self._rights:
            self._rights[namespace] = self.cluster.rights(namespace)
        return self._rights[namespace]

    def forget(self) -> None:
        """Ask again for rights, platform and defaults at the next reconcile."""
        self._rights.clear()
        self._platform.clear()
        self._dry_run = None

    def _platform_of(self, settings: Settings) -> Platform:
        if settings.platform not in self._platform:
            self._platform[settings.platform] = detect_platform(self.cluster, settings.platform)
        return self._platform[settings.platform]

    def _expected(self, wanted: Manifest) -> Manifest:
        """Return what the API server would make of `wanted`: it validates, and fills in the defaults."""
        if self._dry_run is None or self._dry_run[0] != wanted:
            namespace = wanted["metadata"]["namespace"]
            self._dry_run = wanted, self.cluster.create(DAEMONSETS, namespace, wanted, dry_run=True)
        return self._dry_run[1]
