"""The settings as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kip.config.choices import Platform, PullPolicy, Refresh
from kip.config.images import CacheImage
from kip.config.notes import Note

__all__ = ["Platform", "PullPolicy", "Reading", "Refresh", "Settings", "read_settings"]


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
    max_surge: str
    refresh: Refresh
    platform: Platform
    caching_priority_class: str
    http_address: str
    log_format: str
    log_level: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Usable settings, and what is to be said about them."""

    settings: Settings
    notes: tuple[Note, ...]


def read_settings(values: Mapping[str, str], *, pod_namespace: str = "") -> Reading:
    """Read all settings from `values`."""
    raise NotImplementedError(values, pod_namespace)
