"""Readers of the settings that are one word, one amount or a list of names.

All have the same form: `reader(key, text, findings)` returns the value, or adds a problem to `findings` and
returns something that nobody uses. `text` is trimmed, and empty only for a setting whose default is empty.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from kip.config.diagnostics import Diagnostics, Unreadable
from kip.config.durations import is_duration, parse_interval
from kip.config.mappings import as_text
from kip.config.names import label_fault, mend_label, mend_subdomain, subdomain_fault
from kip.config.quantities import parse_quantity
from kip.config.references import LARGEST_PORT, is_registry, parse_reference
from kip.config.scalars import read_structure

LONGEST_LABEL_VALUE = 63
MOST_PERCENT = 100
LARGEST_COUNT = 100_000

_SURGE = re.compile(r"([0-9]{1,9})(%?)")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*)(?::([0-9]{1,5}))")


def interval(key: str, text: str, findings: Diagnostics) -> timedelta | None:
    """Read a time in hours, or a Go duration."""
    try:
        value = parse_interval(text)
    except Unreadable as fault:
        _refuse(key, text, fault, findings)
        return None
    if is_duration(text):
        remedy = f"Write {value.total_seconds() / 3600:.6g} for both."
        findings.note(
            key, text, "is a duration, which kip reads and kubernetes-image-puller does not", remedy
        )
    return value


def quantity(key: str, text: str, findings: Diagnostics) -> str:
    """Check a Kubernetes quantity and keep it as it was written."""
    try:
        parse_quantity(text)
    except Unreadable as fault:
        _refuse(key, text, fault, findings)
    return text


def reference(key: str, text: str, findings: Diagnostics) -> str:
    """Check an image reference and keep it as it was written."""
    try:
        parse_reference(text)
    except Unreadable as fault:
        _refuse(key, text, fault, findings)
    return text


def label(key: str, text: str, findings: Diagnostics) -> str:
    """Check an RFC 1123 label: a namespace's name."""
    if text and (fault := label_fault(text)):
        findings.problem(key, text, fault, _suggest(mend_label(text)))
    return text


def subdomain(key: str, text: str, findings: Diagnostics) -> str:
    """Check an RFC 1123 subdomain: an object's name."""
    if text and (fault := subdomain_fault(text)):
        findings.problem(key, text, fault, _suggest(mend_subdomain(text)))
    return text


def instance(key: str, text: str, findings: Diagnostics) -> str:
    """Check an object's name that is also a label's value (`app.kubernetes.io/instance`)."""
    if fault := subdomain_fault(text, LONGEST_LABEL_VALUE):
        mended = mend_subdomain(text)[:LONGEST_LABEL_VALUE].rstrip(".-")
        findings.problem(key, text, fault, _suggest(mended))
    return text


def choice(words: type[StrEnum]) -> Callable[[str, str, Diagnostics], StrEnum | None]:
    """Return a reader of one of `words`, in any mix of capitals and small letters."""

    def read(key: str, text: str, findings: Diagnostics) -> StrEnum | None:
        found = next((word for word in words if word.value.lower() == text.lower()), None)
        if found is None:
            findings.problem(key, text, "is none of the words allowed", f"Write one of {', '.join(words)}.")
        return found

    return read


def surge(key: str, text: str, findings: Diagnostics) -> str:
    """Read a number of nodes or a percentage of them; 0 would stop every change of the cache."""
    match = _SURGE.fullmatch(text.replace(" ", ""))
    remedy = "Write a percentage from 1% to 100%, or a number of nodes from 1."
    if not match:
        findings.problem(key, text, "is neither a percentage nor a whole number", remedy)
    elif int(match[1]) == 0:
        findings.problem(key, text, "allows no node to change", remedy)
    elif match[2] and int(match[1]) > MOST_PERCENT:
        findings.problem(key, text, "is more than all nodes", remedy)
    else:
        return f"{int(match[1])}{match[2]}"
    return text


def count(key: str, text: str, findings: Diagnostics) -> int:
    """Read a whole number from 0."""
    if text.isascii() and text.isdigit() and int(text) <= LARGEST_COUNT:
        return int(text)
    remedy = f"Write a whole number from 0 to {LARGEST_COUNT}."
    findings.problem(key, text, "is no whole number, or too large a one", remedy)
    return 0


def address(key: str, text: str, findings: Diagnostics) -> str:
    """Read `:8080`, `host:8080` or `[::1]:8080`; empty means that nothing listens."""
    if text.isdecimal() and text.isascii():
        findings.note(key, text, f"is a port alone and is taken as :{text}", f"Write :{text}.")
        text = f":{text}"
    match = _ADDRESS.fullmatch(text)
    if text and (not match or int(match[2]) > LARGEST_PORT):
        findings.problem(
            key, text, "is no address to listen on", "Write :8080, or host:port such as [::1]:8080."
        )
    return text


def names(key: str, text: str, findings: Diagnostics) -> tuple[str, ...]:
    """Read object names: `a; b` as upstream does, or with commas, spaces or lines, or a JSON or YAML list."""
    given = _listed(key, text, findings)
    for number, name in enumerate(given, 1):
        subdomain(f"{key}[{number}]", name, findings)
    return tuple(dict.fromkeys(filter(None, given)))


def registries(key: str, text: str, findings: Diagnostics) -> tuple[str, ...]:
    """Read the hosts of registries, `host:port;host`, or a list as of `names`; capitals do not count."""
    # An IPv6 address starts as a JSON list does.
    hosts = _split(text) if "]:" in text else _listed(key, text, findings)
    given = [host.lower() for host in hosts]
    for number, host in enumerate(given, 1):
        if host and not is_registry(host):
            rest = host.partition("://")[2] or host
            mended = rest.partition("/")[0]
            remedy = f"Write {mended}." if is_registry(mended) else "Write host or host:port."
            findings.problem(f"{key}[{number}]", host, "is no host of a registry", remedy)
    return tuple(dict.fromkeys(filter(None, given)))


def _listed(key: str, text: str, findings: Diagnostics) -> list[str]:
    if not text.startswith(("[", "{", "- ")):
        return _split(text)
    try:
        given = read_structure(text)
    except Unreadable as fault:
        _refuse(key, text, fault, findings)
        return []
    if not isinstance(given, list):
        findings.problem(key, text, "is no list of names", "Write name;name.")
        return []
    return [_name(f"{key}[{number}]", item, findings) for number, item in enumerate(given, 1)]


def _split(text: str) -> list[str]:
    return re.split(r"[;,\s]+", text.strip("; ,\t\r\n")) if text else []


def _name(key: str, item: Any, findings: Diagnostics) -> str:
    """Return the name in a list's item, which may have the form that pods use: `{"name": ...}`."""
    if isinstance(item, dict) and item.keys() == {"name"}:
        item = item["name"]
    return as_text(key, item, findings).strip()


def _refuse(key: str, text: str, fault: Unreadable, findings: Diagnostics) -> None:
    findings.problem(key, text, str(fault), fault.hint)


def _suggest(name: str) -> str:
    return f"Write a name such as {name}." if name else "Write a name such as kubernetes-image-puller."
