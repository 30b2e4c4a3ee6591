"""The settings that are one word out of a few."""

from enum import StrEnum


class PullPolicy(StrEnum):
    """When a node asks the registry. `auto`: always for moving tags, only if absent for all else."""

    AUTO = "auto"
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class Refresh(StrEnum):
    """Whether the nodes are told to look again every interval. `auto`: if the list has moving tags."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Platform(StrEnum):
    """What the cluster is. `auto`: asked from the API server."""

    AUTO = "auto"
    KUBERNETES = "kubernetes"
    OPENSHIFT = "openshift"


class ReadyWhen(StrEnum):
    """What makes the keeper ready: that it does its work, or also that every image is on every node."""

    RECONCILED = "reconciled"
    COMPLETE = "complete"


class LogFormat(StrEnum):
    """How log lines look. `auto`: `console` on a terminal, `json` elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
