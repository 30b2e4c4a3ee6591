"""Where two manifests differ: the paths, for people to read and for the plan to act on."""

from collections.abc import Iterator
from typing import Any


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each place where `found` is not exactly `wanted`.

    Both are plain JSON values. Items of lists of named things (containers, volumes) are told apart by
    name; their order counts too, as it is the order of pulling.

    >>> list(differences({"a": 1, "b": [2]}, {"a": 1, "b": [3]}))
    ['b[0]']
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        yield from _dict_differences(wanted, found, path)
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _list_differences(wanted, found, path)
    elif wanted != found:
        yield path


def _dict_differences(wanted: dict[str, Any], found: dict[str, Any], path: str) -> Iterator[str]:
    for key in sorted(wanted.keys() | found.keys()):
        place = f"{path}.{key}" if path else key
        if key in wanted and key in found:
            yield from differences(wanted[key], found[key], place)
        elif not _is_empty(wanted.get(key)) or not _is_empty(found.get(key)):
            yield place


def _list_differences(wanted: list[Any], found: list[Any], path: str) -> Iterator[str]:
    names, names_found = _names(wanted), _names(found)
    if names is None or names_found is None:
        if len(wanted) != len(found):
            yield path
            return
        labels = [str(index) for index in range(len(wanted))]
    elif names != names_found:
        yield from (f"{path}[{name}]" for name in sorted(set(names) ^ set(names_found)))
        if set(names) == set(names_found):
            yield f"{path} (order)"
        common = [name for name in names if name in names_found]
        wanted = [item for item in wanted if item["name"] in common]
        by_name = {item["name"]: item for item in found}
        found, labels = [by_name[name] for name in common], common
    else:
        labels = names
    for label, item, other in zip(labels, wanted, found, strict=True):
        yield from differences(item, other, f"{path}[{label}]")


def _names(items: list[Any]) -> list[str] | None:
    """Return the names of a list of uniquely named things, None if it is no such list."""
    names = [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
    return names if len(set(names)) == len(items) else None


def _is_empty(value: Any) -> bool:
    """Whether the API server would leave this out; an absent field is the same."""
    return value is None or value in ({}, [], "")
