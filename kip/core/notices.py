"""What is worth telling people of a cache, once: as Events of the cluster, and as the history on the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kip.core.troubles import Trouble


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened, for people.

    `reason` is one CamelCase word as in Kubernetes' Events; `note` a sentence; `at` wall time, UTC. `warning`
    says that somebody should look at it.
    """

    at: datetime
    reason: str
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that lasts, and is told when it begins, and when it is over.

    `key` makes it the same one at two looks. `over` is the reason that tells of its end, "" where nothing is
    to be told then.
    """

    key: tuple[str, ...]
    reason: str
    note: str
    over: str = ""


def of_troubles(found: Iterable[Trouble]) -> tuple[Condition, ...]:
    """Return the conditions that the troubles of a cache are."""
    return tuple(
        Condition(
            trouble.key,
            "ImageFailed" if trouble.failed else "NodeNotServed",
            _sentence(trouble.line, trouble.remedy),
            over="ImageRecovered" if trouble.failed else "NodeServed",
        )
        for trouble in found
    )


def settings_refused(problem: str) -> Condition:
    """Return the condition that the newest settings cannot be used."""
    return Condition(("settings",), "SettingsRefused", problem.replace("\n", "; "), over="SettingsAccepted")


def entry_refused(problem: str) -> Condition:
    """Return the condition that one entry of the list is left out."""
    return Condition(("entry", problem), "EntryRefused", problem)


def foreign_daemonset(message: str, hint: str) -> Condition:
    """Return the condition that the name of the cache is somebody else's."""
    return Condition(("foreign",), "ForeignDaemonSet", _sentence(message, hint))


def reconcile_failed(message: str, hint: str) -> Condition:
    """Return the condition that the keeper cannot do its work."""
    return Condition(("reconcile",), "ReconcileFailed", _sentence(message, hint), over="ReconcileSucceeded")


def _sentence(what: str, remedy: str) -> str:
    return f"{what.rstrip('.')}. {remedy}" if remedy else what
