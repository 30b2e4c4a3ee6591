"""Settings that are mappings of strings: a node selector, annotations."""

import re
from typing import Any

from kip.config.diagnostics import Diagnostics, Unreadable
from kip.config.names import label_value_fault, qualified_name_fault
from kip.config.scalars import PlainScalar, read_structure, unescaped

LARGEST_ANNOTATIONS = 256 * 1024
"""Bytes of all keys and values together (k8s.io/apimachinery/pkg/api/validation/objectmeta.go)."""

OWN_PREFIX = "kip.dev/"
"""Before the names of kip's own annotations: a value from the settings would be undone, again and again."""

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""Annotation: the API server counts the templates of a DaemonSet there; its creator may say from where."""

_FORMS = 'Write {"key": "value"} or key=value,key2=value2.'
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_node_selector(key: str, text: str, findings: Diagnostics) -> dict[str, str]:
    """Read the labels that a node must have."""
    found = _read_mapping(key, text, findings)
    for name, value in found.items():
        _check(place(key, name), name, qualified_name_fault(name), findings)
        _check(place(key, name), value, label_value_fault(value), findings)
    return found


def read_annotations(key: str, text: str, findings: Diagnostics) -> dict[str, str]:
    """Read annotations; their values are free."""
    found = _read_mapping(key, text, findings)
    for name in found:
        # The API server compares in lower case only (ValidateAnnotations).
        _check(place(key, name), name, qualified_name_fault(name.lower()), findings)
        if name.startswith(OWN_PREFIX) or name == TEMPLATE_GENERATION:
            findings.problem(
                place(key, name),
                name,
                "is written by kip itself",
                "Remove it, or give it a prefix of your own.",
            )
    size = sum(len(part.encode("utf-8", "replace")) for pair in found.items() for part in pair)
    if size > LARGEST_ANNOTATIONS:
        findings.problem(key, text, f"has {size} bytes, {LARGEST_ANNOTATIONS} are allowed", "Write less.")
    return found


def place(key: str, name: str) -> str:
    """Return how to call one entry of a mapping: `KEY.name`, or `KEY["a/b"]`."""
    return f"{key}.{name}" if _SIMPLE_KEY.fullmatch(name) else f'{key}["{name}"]'


def as_text(key: str, value: Any, findings: Diagnostics) -> str:
    """Return the string that `value` was meant to be: Kubernetes takes nothing else here."""
    if isinstance(value, dict | list):
        findings.problem(key, value, "is a list or a mapping, not a text", "Write one text, in quotes.")
        return ""
    if value is None:
        findings.note(key, "", "has no value and is taken as empty", 'Write "".')
    elif isinstance(value, PlainScalar):
        findings.note(key, value, f'is no text and is taken as "{value}"', f'Write "{value}", in quotes.')
    return "" if value is None else _encodable(key, str(value), findings)


def _encodable(key: str, text: str, findings: Diagnostics) -> str:
    """Refuse what cannot be sent: halves of surrogate pairs, which JSON escapes can make."""
    if text != text.encode("utf-8", "replace").decode():
        findings.problem(key, text, "has characters that are none", "Write it in UTF-8.")
    return text


def without_escapes(key: str, text: str, findings: Diagnostics) -> str:
    """Return `text` without the escapes that older charts of kubernetes-image-puller needed, with a note."""
    meant = unescaped(text)
    if meant is None:
        return text
    findings.note(key, text, 'has \\" for each quote, and is read without', f"Write {meant}")
    return meant


def _check(key: str, value: str, fault: str, findings: Diagnostics) -> None:
    if fault:
        findings.problem(key, value, f"{value!r} {fault}", "Write a name that Kubernetes allows.")


def _read_mapping(key: str, text: str, findings: Diagnostics) -> dict[str, str]:
    given = _read_pairs(key, text, findings)
    return {name.strip(): as_text(place(key, name.strip()), value, findings) for name, value in given.items()}


def _read_pairs(key: str, text: str, findings: Diagnostics) -> dict[str, Any]:
    """Return the mapping that `text` is: as JSON or YAML, or as `k=v,k2=v2`."""
    fault: Unreadable | None = None
    text = without_escapes(key, text, findings)
    try:
        given = read_structure(text)
    except Unreadable as unreadable:
        given, fault = text, unreadable
    if given is None:
        return {}
    if isinstance(given, dict):
        return _join_split_pairs(given)
    if isinstance(given, str) and not text.startswith(("{", "[", "map[")):
        return _split_pairs(key, text, findings)
    if fault:
        findings.problem(key, text, str(fault), fault.hint)
    else:
        findings.problem(key, text, "is a list or a single value, not a mapping", _FORMS)
    return {}


def _join_split_pairs(given: dict[str, Any]) -> dict[str, Any]:
    """Undo YAML's reading of `{disktype:ssd}`, a key without a value."""
    read = {}
    for name, value in given.items():
        left, sign, right = _at_first_sign(name)
        read[left if value is None and sign else name] = right if value is None and sign else value
    return read


def _split_pairs(key: str, text: str, findings: Diagnostics) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        left, sign, right = _at_first_sign(pair)
        if not sign or not left:
            findings.problem(key, pair, "is no pair of a key and a value", _FORMS)
        elif left in found and found[left] != right:
            findings.problem(place(key, left), pair, "is given twice", "Keep one of the two.")
        else:
            found[left] = right
    return found


def _at_first_sign(pair: str) -> tuple[str, str, str]:
    """Split `k=v`, or `k:v` where there is no `=`; quotes around the parts go."""
    left, sign, right = pair.partition("=" if "=" in pair else ":")
    return _unquoted(left), sign, _unquoted(right)


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
