"""The settings as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kip.config.choices import LogFormat, LogLevel, Platform, PullPolicy, ReadyWhen, Refresh
from kip.config.diagnostics import Diagnostics
from kip.config.images import CacheImage
from kip.config.notes import Note
from kip.config.resources import check_resources
from kip.config.table import SETTINGS, Setting
from kip.errors import SettingsError

__all__ = [
    "LogFormat",
    "LogLevel",
    "Platform",
    "PullPolicy",
    "Reading",
    "ReadyWhen",
    "Refresh",
    "Settings",
    "read_settings",
]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, checked and complete. `kip.config.table` says what each means.

    Quantities are never empty; "0" asks for nothing, or sets no limit.
    """

    caching_interval: timedelta
    images: tuple[CacheImage, ...]
    caching_memory_request: str
    caching_memory_limit: str
    caching_cpu_request: str
    caching_cpu_limit: str
    daemonset_name: str
    daemonset_annotations: dict[str, str]
    namespace: str
    node_selector: dict[str, str]
    image_pull_secrets: tuple[str, ...]
    affinity: dict[str, Any]
    tolerations: tuple[dict[str, Any], ...]
    kip_image: str
    deployment_name: str
    configmap_name: str
    image_pull_policy: PullPolicy
    insecure_registries: tuple[str, ...]
    max_surge: str
    refresh: Refresh
    platform: Platform
    caching_priority_class: str
    pull_job_namespaces: tuple[str, ...]
    pull_budget: int
    http_address: str
    ready_when: ReadyWhen
    log_format: LogFormat
    log_level: LogLevel


@dataclass(frozen=True, slots=True)
class Reading:
    """Usable settings, and what is to be said about them."""

    settings: Settings
    notes: tuple[Note, ...]


def read_settings(values: Mapping[str, str], *, pod_namespace: str = "") -> Reading:
    """Read all settings from `values`; keys that are no settings are ignored, empty ones count as unset.

    `pod_namespace` is where the keeper itself runs, the default of NAMESPACE. Raise `SettingsError`, which
    carries every problem found.
    """
    findings = Diagnostics()
    found = {row.field: _read(row, values, pod_namespace, findings) for row in SETTINGS}
    check_resources({row.key: found[row.field] for row in SETTINGS}, findings)
    if findings.problems:
        raise SettingsError(tuple(findings.problems))
    return Reading(Settings(**found), tuple(findings.notes))


def _read(row: Setting, values: Mapping[str, str], pod_namespace: str, findings: Diagnostics) -> Any:
    given = values.get(row.key, "").strip()
    findings.reading(given)
    if not given and row.required:
        findings.problem(row.key, "", "is not set", f"Set {row.key}: {row.help}")
        return None
    default = pod_namespace.strip() if row.field == "namespace" and pod_namespace.strip() else row.default
    return row.parse(row.key, given or default, findings)
