"""What the API server refuses, led back to the setting at fault.

Source of the field paths: `details.causes[].field` of a Status object, as Kubernetes' validation words them.
"""

import re
from collections.abc import Iterable

from kip.errors import Cause, Problem

_SETTING_OF = (
    (r"containers\[\d+\]\.resources\.requests.*memory", "CACHING_MEMORY_REQUEST"),
    (r"containers\[\d+\]\.resources\.requests.*cpu", "CACHING_CPU_REQUEST"),
    (r"containers\[\d+\]\.resources\.requests", "CACHING_CPU_REQUEST and CACHING_MEMORY_REQUEST"),
    (r"containers\[\d+\]\.resources\.limits.*memory", "CACHING_MEMORY_LIMIT"),
    (r"containers\[\d+\]\.resources\.limits.*cpu", "CACHING_CPU_LIMIT"),
    (r"initContainers\[\d+\]\.image", "KIP_IMAGE"),
    (r"\.tolerations", "TOLERATIONS"),
    (r"\.affinity", "AFFINITY"),
    (r"\.nodeSelector", "NODE_SELECTOR"),
    (r"\.imagePullSecrets", "IMAGE_PULL_SECRETS"),
    (r"\.priorityClassName", "CACHING_PRIORITY_CLASS"),
    (r"\.updateStrategy", "MAX_SURGE"),
    (r"^metadata\.annotations", "DAEMONSET_ANNOTATIONS"),
    (r"^metadata\.(name|generateName)", "DAEMONSET_NAME"),
    (r"^metadata\.namespace", "NAMESPACE"),
)
_ENTRY = re.compile(r"spec\.template\.spec\.containers\[(\d+)\]\.(?!resources)")


def entries_at_fault(causes: Iterable[Cause]) -> dict[int, str]:
    """Return for each image at fault its index in the list and what the API server says about it."""
    found: dict[int, str] = {}
    for cause in causes:
        if match := _ENTRY.match(cause.field):
            found.setdefault(int(match[1]), cause.message)
    return found


def problems_of(message: str, causes: Iterable[Cause]) -> tuple[Problem, ...]:
    """Return the refusal as problems of settings; what belongs to no setting is told as it came."""
    told = {
        (cause.field, cause.message): Problem(
            _setting_of(cause.field), cause.field, cause.message, "Correct it; the cache stays as it is."
        )
        for cause in causes
        if cause.field
    }
    everything = Problem("settings", "", message, "Correct them; the cache stays as it is.")
    return tuple(told.values()) or (everything,)


def _setting_of(field: str) -> str:
    return next((key for pattern, key in _SETTING_OF if re.search(pattern, field)), "settings")
