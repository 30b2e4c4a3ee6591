"""The settings in force: read anew at each reconcile, and the last good ones kept when an edit is bad."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from kip.cluster.api import Cluster
from kip.cluster.reads import read_configmap
from kip.config.notes import Note
from kip.config.settings import Reading, Settings, read_settings
from kip.config.sources import merge, near_misses
from kip.errors import Forbidden, Problem, SettingsError

log = structlog.get_logger()


@dataclass(slots=True)
class SettingsSource:
    """Environment plus ConfigMap (its keys win), as last read.

    `in_force` is None until there were good settings once; `error` is the fault of the newest ones, if any,
    and `refused` says of those in force which entries are left out, and why.

    A ConfigMap that was read and is gone keeps its last data in force: most are only made anew, and the
    environment may hold an older list, whose images would take the place of those that are wanted.
    """

    cluster: Cluster
    environment: Mapping[str, str]
    pod_namespace: str
    read: Callable[..., Reading] = read_settings
    in_force: Settings | None = None
    error: SettingsError | None = None
    refused: tuple[str, ...] = ()
    _values: Mapping[str, str] | None = None
    _configmap: Mapping[str, str] | None = None
    _configmap_refused: bool = False
    _told: bool = False
    _gone: bool = False

    @property
    def configmap(self) -> tuple[str, str] | None:
        """Return namespace and name of the ConfigMap to read, None when none is named or may be read.

        One that was read once counts as readable for ever: a right may be missing for a moment only, as while
        an API server starts.
        """
        name = self.environment.get("CONFIGMAP_NAME", "").strip()
        if not name or self._configmap_refused:
            return None
        return self.pod_namespace or self.environment.get("NAMESPACE", "").strip(), name

    def refresh(self) -> Settings | None:
        """Read the newest settings; return those in force, None while there were no good ones yet.

        Raises ApiError when the ConfigMap cannot be asked for.
        """
        configmap = self._configmap_data()
        values = merge(self.environment, configmap)
        if values != self._values:
            self._values = values
            self._take(values)
            self._report(near_misses(configmap))
            self._report(near_misses(self.environment, environment=True))
        return self.in_force

    def _take(self, values: Mapping[str, str]) -> None:
        try:
            reading = self.read(values, pod_namespace=self.pod_namespace)
        except SettingsError as error:
            self.error = error
            log.warning(
                "settings_refused",
                problems=[str(problem) for problem in error.problems],
                in_force="the last good settings" if self.in_force else "none",
            )
            return
        self.error, self.in_force = None, reading.settings
        self.refused = tuple(str(note) for note in reading.notes if note.refused)
        self._report(reading.notes)
        log.info("settings_taken", images=len(reading.settings.images), **summary(reading.settings))

    def _report(self, notes: Iterable[Note]) -> None:
        for note in notes:
            what = {"key": note.key, "value": note.value, "problem": note.message, "remedy": note.remedy}
            if note.refused:
                log.warning("entry_refused", **what)
            else:
                log.warning("setting_corrected", **what)

    def look_again(self) -> None:
        """Ask at the next refresh for a ConfigMap that could not be read, too: the right may have come."""
        self._configmap_refused = False

    def _configmap_data(self) -> Mapping[str, str]:
        if self.configmap is None:
            return {}
        namespace, name = self.configmap
        try:
            found = read_configmap(self.cluster, namespace, name)
        except Forbidden as error:
            self._configmap_refused = self._configmap is None
            if not self._told:
                self._told = True
                log.warning(
                    "configmap_not_watched",
                    namespace=namespace,
                    name=name,
                    error=str(error),
                    consequence="edits take effect once it may be read again",
                    remedy="grant get, list and watch on that ConfigMap",
                )
        else:
            self._told = False
            if found is None and self._configmap:
                self._keep(namespace, name)
            else:
                self._take_data(found or {})
        return self._configmap or {}

    def _take_data(self, data: Mapping[str, str]) -> None:
        if self._gone:
            self._gone, self._values = False, None
        self._configmap = data

    def _keep(self, namespace: str, name: str) -> None:
        if self._gone:
            return
        self._gone = True
        message = f"there is no such ConfigMap in namespace {namespace} any more; its last data stay in force"
        problem = Problem("CONFIGMAP_NAME", name, message, "Create it again.")
        self.error = SettingsError((problem,))
        log.warning(
            "configmap_gone",
            namespace=namespace,
            name=name,
            consequence="its last data stay in force until the keeper ends",
            remedy="create it again",
        )


def summary(settings: Settings) -> dict[str, str]:
    """Return what of the settings tells one keeper from another, for the log."""
    return {
        "daemonset": f"{settings.namespace}/{settings.daemonset_name}",
        "interval": str(settings.caching_interval),
    }
