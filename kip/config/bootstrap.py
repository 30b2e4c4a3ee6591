"""The few settings that are needed where all together are not, or may be at fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kip.config.diagnostics import Diagnostics
from kip.config.table import SETTINGS


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How to log, and where to listen: taken from the environment once, at start."""

    log_format: str
    log_level: str
    http_address: str


@dataclass(frozen=True, slots=True)
class CacheRef:
    """Where the cache is, for commands that only look."""

    namespace: str
    daemonset_name: str


def process_settings(values: Mapping[str, str]) -> ProcessSettings:
    """Read them, each by itself; one at fault is its default here, and reported with all the others later."""
    return ProcessSettings(**{field: _one(field, values) for field in ProcessSettings.__slots__})


def cache_ref(values: Mapping[str, str], *, pod_namespace: str = "") -> CacheRef:
    """Read them, each by itself; what is not set is the keeper's own namespace, and the default name."""
    place = {"NAMESPACE": pod_namespace, **{key: value for key, value in values.items() if value.strip()}}
    return CacheRef(**{field: _one(field, place) for field in CacheRef.__slots__})


def kip_image(values: Mapping[str, str]) -> str:
    """Return the image that the sleeper is copied from."""
    return str(_one("kip_image", values))


def _one(field: str, values: Mapping[str, str]) -> Any:
    row = next(row for row in SETTINGS if row.field == field)
    findings = Diagnostics()
    found = row.parse(row.key, values.get(row.key, "").strip() or row.default, findings)
    return row.parse(row.key, row.default, Diagnostics()) if findings.problems else found
