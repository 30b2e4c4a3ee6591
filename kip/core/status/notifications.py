"""What is worth telling people of a cache, once: as Events of the cluster, and as the history on the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kip.core.status.problems import ImageProblem

REASONS = {
    "ImageFailed": "An image fails on some nodes: the kubelet's reason, which nodes, what to do.",
    "ImageRecovered": "That is over.",
    "NodeNotServed": "Nodes have no pod, or do not answer: why, which, what to do.",
    "NodeServed": "That is over.",
    "CacheChanged": "The cache was made or changed, and why: an edit, a refresh.",
    "CacheRestored": "Somebody else had changed it, and it was brought back.",
    "CacheComplete": "Every image is on every node again, and after how long.",
    "SettingsRefused": "The newest settings cannot be used: key, value and remedy.",
    "SettingsAccepted": "That is over.",
    "EntryRefused": "One image is left out, and why; all others are cached.",
    "ForeignDaemonSet": "The name of the cache is that of somebody else's DaemonSet, which is left alone.",
    "ReconcileFailed": "The keeper cannot do its work: which right is missing, for example.",
    "ReconcileSucceeded": "That is over.",
}
"""What each reason tells. docs/logs.md has this table."""


@dataclass(frozen=True, slots=True)
class Notification:
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
    to be told then. `exact`: other words are another thing, and told at once. `remedies` is what to do, and
    `where` it is: the kubelet's words alone take turns as long as it lasts.
    """

    key: tuple[str, ...]
    reason: str
    note: str
    over: str = ""
    exact: bool = False
    remedies: frozenset[str] = frozenset()
    where: tuple[str, ...] = ()

    @property
    def matter(self) -> tuple[object, ...]:
        """Return what makes it news when it is another."""
        return (self.remedies, self.where) if self.where else (self.note,)


def conditions_of(found: Iterable[ImageProblem]) -> tuple[Condition, ...]:
    """Return the conditions that the troubles of a cache are: one for each image, whatever it fails of."""
    images: dict[str, list[ImageProblem]] = {}
    others = []
    for trouble in found:
        if trouble.failed:
            images.setdefault(trouble.images[0], []).append(trouble)
        else:
            others.append(_condition(trouble.key, "NodeNotServed", [trouble], over="NodeServed"))
    failing = (
        _condition(("image", name), "ImageFailed", same, over="ImageRecovered")
        for name, same in images.items()
    )
    return (*failing, *others)


def _condition(key: tuple[str, ...], reason: str, found: list[ImageProblem], over: str) -> Condition:
    remedies = frozenset(trouble.remedy for trouble in found if trouble.remedy)
    where = tuple(sorted({trouble.where for trouble in found}))
    return Condition(key, reason, " ".join(map(_told, found)), over, remedies=remedies, where=where)


def settings_refused(problem: str) -> Condition:
    """Return the condition that the newest settings cannot be used."""
    return Condition(
        ("settings",), "SettingsRefused", problem.replace("\n", "; "), "SettingsAccepted", exact=True
    )


def entry_refused(problem: str) -> Condition:
    """Return the condition that one entry of the list is left out."""
    return Condition(("entry", problem), "EntryRefused", problem)


def foreign_daemonset(message: str, hint: str) -> Condition:
    """Return the condition that the name of the cache is somebody else's."""
    return Condition(("foreign",), "ForeignDaemonSet", _sentence(message, hint))


def reconcile_failed(message: str, hint: str) -> Condition:
    """Return the condition that the keeper cannot do its work."""
    return Condition(("reconcile",), "ReconcileFailed", _sentence(message, hint), over="ReconcileSucceeded")


def _told(trouble: ImageProblem) -> str:
    return _sentence(trouble.line, trouble.remedy)


def _sentence(what: str, remedy: str) -> str:
    return f"{what.rstrip('.')}. {remedy}" if remedy else what
