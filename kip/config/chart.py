"""The values of the Helm chart and the settings that they become: one table for all who need it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kip.config.notes import Note
from kip.config.suggestions import did_you_mean
from kip.config.table import SETTINGS

UPSTREAM_VALUES = {
    "configMap.images": "IMAGES",
    "configMap.cachingIntervalHours": "CACHING_INTERVAL_HOURS",
    "configMap.cachingMemoryRequest": "CACHING_MEMORY_REQUEST",
    "configMap.cachingMemoryLimit": "CACHING_MEMORY_LIMIT",
    "configMap.cachingCpuRequest": "CACHING_CPU_REQUEST",
    "configMap.cachingCpuLimit": "CACHING_CPU_LIMIT",
    "configMap.daemonsetAnnotations": "DAEMONSET_ANNOTATIONS",
    "configMap.nodeSelector": "NODE_SELECTOR",
    "configMap.imagePullSecrets": "IMAGE_PULL_SECRETS",
    "configMap.affinity": "AFFINITY",
    "configMap.tolerations": "TOLERATIONS",
    "configMap.name": "CONFIGMAP_NAME",
    "deploymentName": "DEPLOYMENT_NAME",
}
"""Those of kubernetes-image-puller's chart."""

DEFAULTS = {"CONFIGMAP_NAME": "k8s-image-puller", "DEPLOYMENT_NAME": "kubernetes-image-puller"}
"""What the chart sets where its values say nothing, and the settings' own defaults differ."""

OTHER_PLACES = {
    "http.address": "HTTP_ADDRESS",
    "logging.format": "LOG_FORMAT",
    "logging.level": "LOG_LEVEL",
    "pullJobs.namespaces": "PULL_JOB_NAMESPACES",
    "pullJobs.budget": "PULL_BUDGET",
}
"""What does not stand under `configMap`, as the keeper reads it only when it starts, or rights go with it."""


NO_SETTINGS = ("configMap.create", "configMap.watch")
"""Values beside the settings that become none."""


def camel_case(field: str) -> str:
    """Return how a setting is called among the values: `max_surge` is `maxSurge`.

    >>> camel_case("caching_priority_class")
    'cachingPriorityClass'
    """
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


VALUES = {
    **UPSTREAM_VALUES,
    **OTHER_PLACES,
    **{
        f"configMap.{camel_case(row.field)}": row.key
        for row in SETTINGS
        if row.key not in {*UPSTREAM_VALUES.values(), *OTHER_PLACES.values()}
    },
}
"""Path of each value of the chart, and the key that it becomes."""


def merge_values(values: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, mappings merged and everything else replaced, as `helm -f one -f two` does."""
    merged = dict(values)
    for key, value in later.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = merge_values(before, value) if both else value  # type: ignore[arg-type]
    return merged


def settings_of(values: Mapping[str, Any]) -> tuple[dict[str, str], tuple[Note, ...]]:
    """Return the environment keys that the values become, and notes on values that become none."""
    given = dict(_flat(values))
    named = {VALUES[path]: _text(value) for path, value in given.items() if path in VALUES}
    name = _text(values.get("fullnameOverride"))
    found = (dict.fromkeys(DEFAULTS, name) if name else DEFAULTS) | {
        key: value for key, value in named.items() if value
    }
    found.setdefault("DAEMONSET_NAME", found["DEPLOYMENT_NAME"])
    if not given.get("pullJobs.enabled"):
        found.pop("PULL_JOB_NAMESPACES", None)
    if image := _image(values.get("image")):
        found.setdefault("KIP_IMAGE", image)
    strays = (path for path in given if path.startswith("configMap.") and path not in {*VALUES, *NO_SETTINGS})
    return found, tuple(_stray(path, _text(given[path])) for path in strays)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values at the top, and those directly in the mappings that have settings, by their paths."""
    for name, value in values.items():
        if name in {"configMap", "http", "logging", "pullJobs"} and isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", given) for inner, given in value.items())
        else:
            yield name, value


def _text(value: Any) -> str:
    """Native YAML goes into the ConfigMap as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _image(image: Any) -> str:
    if not isinstance(image, Mapping) or not image.get("repository"):
        return ""
    tag = f":{image['tag']}" if image.get("tag") else ""
    digest = f"@{image['digest']}" if image.get("digest") else ""
    return f"{image['repository']}{digest or tag}"


def _stray(path: str, value: str) -> Note:
    remedy = did_you_mean(path, list(VALUES), "Remove it.")
    return Note(path, value, "is no value of the chart that becomes a setting", remedy, refused=True)
