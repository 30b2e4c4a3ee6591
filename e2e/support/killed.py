"""A keeper that is killed at one exact step: between any two writes to the API server."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kip.cluster.client import connect
from kip.config.settings import read_settings
from kip.keeper.reconcile import Reconciler
from kip.keeper.refresher import Refresher

WRITES = ("create", "apply", "patch", "delete")


class Killed(BaseException):
    """The process would have ended here."""


class Mortal:
    """A cluster whose user is killed before write number `lives`, from 0; dry runs do not count."""

    def __init__(self, cluster: Any, lives: int) -> None:
        self._cluster = cluster
        self._lives = lives

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)
        if name not in WRITES:
            return method

        def counted(*arguments: Any, **options: Any) -> Any:
            if not options.get("dry_run"):
                if self._lives == 0:
                    raise Killed
                self._lives -= 1
            return method(*arguments, **options)

        return counted


def reconcile_until_killed(kubeconfig: Path, values: dict[str, str], lives: int, *, seconds: float) -> bool:
    """Reconcile as a keeper with these settings would; return whether it lived to see nothing more to do."""
    cluster = Mortal(connect(str(kubeconfig)), lives)
    settings = read_settings(values, pod_namespace=values["NAMESPACE"]).settings
    refresher = Refresher(_now, lambda _settings, images, _credentials: dict.fromkeys(images, ""))
    keeper = Reconciler(cluster, _now, time.monotonic, refresher, values["NAMESPACE"], "mortal")
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            plan = keeper.reconcile(settings).plan
            if not plan.steps and not plan.pending:
                return True
            time.sleep(0.3)
    except Killed:
        return False
    return False


def _now() -> datetime:
    return datetime.now(UTC)
