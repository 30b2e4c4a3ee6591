"""JSON and YAML read with every scalar kept as it was written.

`1.10` stays `1.10` and `no` stays `no`: in labels, names and annotations they mean themselves.
"""

import json
import re
from typing import Any

from kip.config.diagnostics import Unreadable

_GO_MAP = re.compile(r"\[?map\[")


class PlainScalar(str):
    """A number or a truth value, as written, where JSON and YAML see no string."""

    __slots__ = ()


def read_structure(text: str) -> Any:
    """Return the dict, list, str, `Bare` or None that `text` is, as JSON or else as YAML.

    Raise `Unreadable` with the place of the fault.
    """
    if _GO_MAP.match(text):
        raise Unreadable("is a Go map, not JSON", hint="In a Helm template, pipe the value through toJson.")
    try:
        return _from_json(
            json.loads(
                text,
                parse_int=PlainScalar,
                parse_float=PlainScalar,
                parse_constant=PlainScalar,
                object_pairs_hook=_once,
            )
        )
    except json.JSONDecodeError as fault:
        return _read_yaml(text, fault)
    except RecursionError:
        raise _too_deep() from None


def unescaped(text: str) -> str | None:
    """Return the JSON that was meant by JSON with each quote escaped once more; None for any other text.

    The chart of kubernetes-image-puller asked for such values before v1.1.1, as it put them into quotes.
    """
    meant = text.replace('\\"', '"')
    return meant if meant != text and _is_json(meant) and not _is_json(text) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _from_json(value: Any) -> Any:
    if isinstance(value, bool):
        return PlainScalar("true" if value else "false")
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dict of `pairs`; a key given twice would lose one of its values."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Unreadable(f"has the key {key!r} twice", hint="Keep one of the two.")
        found[key] = value
    return found


def _read_yaml(text: str, json_fault: json.JSONDecodeError) -> Any:
    import yaml  # noqa: PLC0415 - JSON is the rule; most runs never need this

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _from_node(node, set())
    except yaml.MarkedYAMLError as fault:
        raise Unreadable(_where(text, json_fault, fault), hint="Check quotes, commas and brackets.") from None
    except yaml.YAMLError:  # a character that YAML does not allow anywhere
        raise Unreadable("has control characters", hint="Remove them.") from None
    except RecursionError:
        raise _too_deep() from None


def _where(text: str, json_fault: json.JSONDecodeError, yaml_fault: Any) -> str:
    """Say what is wrong and where, in the terms of what the text seems to be."""
    if text.lstrip().startswith(("{", "[")):
        place, kind, what = (json_fault.lineno, json_fault.colno), "JSON", json_fault.msg.lower()
    else:
        mark = yaml_fault.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        kind, what = "YAML", str(yaml_fault.problem)
    return f"is not {kind}: {what} at line {place[0]}, column {place[1]}"


def _from_node(node: Any, seen: set[int]) -> Any:
    """Turn a YAML node into plain values; no list and no mapping may come twice (aliases can explode)."""
    if isinstance(node.value, str):
        return _scalar(node.tag.rpartition(":")[2], node.value)
    if id(node) in seen:
        raise Unreadable("uses a YAML alias", hint="Write the value out.")
    seen.add(id(node))
    if node.id == "sequence":
        return [_from_node(item, seen) for item in node.value]
    return _once([(_key(key), _from_node(value, seen)) for key, value in node.value])


def _key(node: Any) -> str:
    if not isinstance(node.value, str):
        raise Unreadable("has a list or a mapping for a key", hint="Write a word before each colon.")
    return node.value


def _scalar(tag: str, text: str) -> str | None:
    if tag == "null":
        return None
    return PlainScalar(text) if tag in ("bool", "int", "float", "timestamp") else str(text)


def _too_deep() -> Unreadable:
    return Unreadable("is nested too deeply", hint="Write at most a handful of levels.")
