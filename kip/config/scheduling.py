"""AFFINITY and TOLERATIONS: no field is dropped silently, as upstream did with misspelt ones.

Source of the shapes: k8s.io/api/core/v1 (Affinity, Toleration). What the values mean is for the API server
to judge; its dry run comes before anything is changed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kip.config.diagnostics import Diagnostics, Unreadable
from kip.config.mappings import as_text, place, without_escapes
from kip.config.scalars import read_structure
from kip.config.suggestions import closest, did_you_mean

Shape = Mapping[str, Any] | Sequence[Any] | str
"""A dict of fields, a list of one shape, or a word: text, number, labels (a mapping of texts)."""

_SET = ("In", "NotIn", "Exists", "DoesNotExist")
_NODE_TERM: Shape = {
    field: [{"key": "text", "operator": (*_SET, "Gt", "Lt"), "values": ["text"]}]
    for field in ("matchExpressions", "matchFields")
}
_LABELS: Shape = {
    "matchLabels": "labels",
    "matchExpressions": [{"key": "text", "operator": _SET, "values": ["text"]}],
}
_POD_TERM: Shape = {
    "labelSelector": _LABELS,
    "namespaceSelector": _LABELS,
    "topologyKey": "text",
    "namespaces": ["text"],
    "matchLabelKeys": ["text"],
    "mismatchLabelKeys": ["text"],
}
_REQUIRED, _PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
_PODS: Shape = {_REQUIRED: [_POD_TERM], _PREFERRED: [{"weight": "number", "podAffinityTerm": _POD_TERM}]}
AFFINITY: Shape = {
    "nodeAffinity": {
        _REQUIRED: {"nodeSelectorTerms": [_NODE_TERM]},
        _PREFERRED: [{"weight": "number", "preference": _NODE_TERM}],
    },
    "podAffinity": _PODS,
    "podAntiAffinity": _PODS,
}
TOLERATION: Shape = {
    "key": "text",
    "operator": ("Exists", "Equal", "Lt", "Gt"),  # the last two since Kubernetes 1.35
    "value": "text",
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "tolerationSeconds": "number",
}

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def read_affinity(key: str, text: str, findings: Diagnostics) -> dict[str, Any]:
    """Read a pod's affinity, as JSON or YAML."""
    given = _read(key, text, findings)
    return {} if given is None else dict(_shaped(key, given, AFFINITY, findings) or {})


def read_tolerations(key: str, text: str, findings: Diagnostics) -> tuple[dict[str, Any], ...]:
    """Read a list of tolerations, as JSON or YAML; a single one need not be in a list."""
    given = _read(key, text, findings)
    if given is None or given == {}:
        return ()
    if isinstance(given, dict):
        findings.note(
            key, text, "is one toleration, not a list, and is taken as a list of one", "Put it in [ ]."
        )
        given = [given]
    tolerations = _shaped(key, given, [TOLERATION], findings) or []
    for number, toleration in enumerate(tolerations, 1):
        _check_toleration(f"{key}[{number}]", toleration, findings)
    return tuple(tolerations)


def _read(key: str, text: str, findings: Diagnostics) -> Any:
    try:
        return read_structure(without_escapes(key, text, findings))
    except Unreadable as fault:
        findings.problem(key, text, str(fault), fault.hint)
        return None


def _shaped(key: str, given: Any, shape: Shape, findings: Diagnostics) -> Any:
    """Return `given` with its scalars as the API wants them; whatever does not fit `shape` is a problem."""
    if isinstance(shape, dict):
        return _mapping(key, given, shape, findings)
    if isinstance(shape, list):
        return _list(key, given, shape[0], findings)
    if isinstance(shape, tuple):
        return _word(key, given, shape, findings)
    if shape == "labels":
        return _labels(key, given, findings)
    return _number(key, given, findings) if shape == "number" else as_text(key, given, findings)


def _mapping(key: str, given: Any, shape: Mapping[str, Shape], findings: Diagnostics) -> dict[str, Any]:
    if not isinstance(given, dict):
        findings.problem(key, given, "is no mapping of fields", f"Write {{...}} with {_listed(shape)}.")
        return {}
    fields: dict[str, Any] = {}
    for name, value in given.items():
        field = _field(place(key, name), name, shape, findings)
        if field and value is not None:  # null means not given, as in all of Kubernetes
            fields[field] = _shaped(place(key, field), value, shape[field], findings)
    return fields


def _field(key: str, name: str, shape: Mapping[str, Shape], findings: Diagnostics) -> str:
    """Return the field called `name`; capitals do not count, as they did not for upstream (Go's JSON)."""
    if name in shape:
        return name
    found = next((field for field in shape if field.lower() == name.lower()), "")
    if found:
        findings.note(key, name, f"is taken as {found}", f"Write {found}.")
    else:
        remedy = did_you_mean(name, shape, f"There are {_listed(shape)}.")
        findings.problem(key, name, "is no field that Kubernetes knows here", remedy)
    return found


def _list(key: str, given: Any, shape: Shape, findings: Diagnostics) -> list[Any]:
    if not isinstance(given, list):
        findings.problem(key, given, "is no list", "Put it in [ ].")
        return []
    return [_shaped(f"{key}[{number}]", item, shape, findings) for number, item in enumerate(given, 1)]


def _word(key: str, given: Any, words: tuple[str, ...], findings: Diagnostics) -> str:
    word = as_text(key, given, findings)
    if word and word not in words:
        meant = next((known for known in words if known.lower() == word.lower()), "") or closest(word, words)
        remedy = f"Did you mean {meant}?" if meant else f"There are {_listed(words)}."
        findings.problem(key, word, "is no word that Kubernetes knows here", remedy)
    return word


def _labels(key: str, given: Any, findings: Diagnostics) -> dict[str, str]:
    if not isinstance(given, dict):
        findings.problem(key, given, "is no mapping of labels", 'Write {"key": "value"}.')
        return {}
    return {name: as_text(place(key, name), value, findings) for name, value in given.items()}


def _number(key: str, given: Any, findings: Diagnostics) -> int:
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        return int(given)
    findings.problem(key, given, "is no whole number", "Write digits only.")
    return 0


def _check_toleration(key: str, given: dict[str, Any], findings: Diagnostics) -> None:
    """Check what the fields say together (pkg/apis/core/validation, validateTolerations)."""
    operator = given.get("operator") or "Equal"
    if any(problem.key.startswith(f"{key}.") for problem in findings.problems):
        return
    if not given.get("key") and operator != "Exists":
        findings.problem(
            key,
            given,
            "has neither a key nor the operator Exists",
            "Write operator Exists to tolerate every taint.",
        )
    if operator == "Exists" and given.get("value"):
        findings.problem(
            f"{key}.value", given["value"], "goes with no operator Exists", "Remove it or write Equal."
        )
    if "tolerationSeconds" in given and given.get("effect") != "NoExecute":
        findings.problem(
            f"{key}.tolerationSeconds",
            given["tolerationSeconds"],
            "goes with the effect NoExecute only",
            "Remove it, or write that effect.",
        )


def _listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
