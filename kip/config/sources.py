"""Where settings come from: the environment, an env file, a manifest. The only door to os.environ."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kip.config.chart import merge_values, settings_of
from kip.config.notes import Note
from kip.config.suggestions import closest, one_slip_apart
from kip.config.table import SETTINGS
from kip.errors import Problem, SettingsError, UsageError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
KEYS = tuple(setting.key for setting in SETTINGS)
OTHERS = ("POD_NAMESPACE", "POD_NAME", "KUBECONFIG", "HOME")
"""Keys that are read elsewhere, and no slips."""

SHORTEST_GUESSED = 8
"""In the environment a short key, such as IMAGE, is more likely to be somebody else's than a slip."""

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)")


def from_environment() -> dict[str, str]:
    """Return the whole environment of this process."""
    return dict(os.environ)


def pod_namespace() -> str:
    """Return the namespace that this process runs in: POD_NAMESPACE, or its ServiceAccount's; else empty."""
    try:
        return os.environ.get("POD_NAMESPACE", "").strip() or NAMESPACE_FILE.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def merge(environment: Mapping[str, str], configmap: Mapping[str, str]) -> dict[str, str]:
    """Return both; the ConfigMap's keys win, except where they are empty, which counts as unset."""
    return {**environment, **{key: value for key, value in configmap.items() if value.strip()}}


def near_misses(values: Mapping[str, str], *, environment: bool = False) -> tuple[Note, ...]:
    """Note the keys that are nearly a setting's.

    In the `environment`, which is full of others' variables, only those that are one slip of a finger away
    from a setting that is not set itself.
    """
    notes = []
    for name in values:
        meant = (
            ""
            if name in KEYS + OTHERS
            else _one_slip_away(name, values)
            if environment
            else closest(name, KEYS)
        )
        if meant:
            # It may be somebody else's variable, so its value is nobody's business.
            notes.append(
                Note(name, "", "is no setting and is not used", f"Did you mean {meant}?", refused=True)
            )
    return tuple(notes)


def from_env_file(path: str | Path) -> dict[str, str]:
    """Read lines of KEY=value; `#` starts a comment line, quotes around a value go. `-` is standard input."""
    found = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if not match:
            raise UsageError(
                f"{_name(path)}:{number}: {stripped[:60]!r} is no KEY=value", hint="Write KEY=value."
            )
        value = match[2].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[match[1]] = value[1:-1] if quoted else value
    return found


def from_configmap_manifest(path: str | Path) -> dict[str, str]:
    """Read the data of the ConfigMaps in a YAML or JSON manifest, later ones over earlier ones.

    `-` is standard input. Other objects in the manifest are passed over. Raise `UsageError` for what is no
    manifest, `SettingsError` for values that are no texts: the API server would refuse them too.
    """
    import yaml  # noqa: PLC0415 - heavy, and most runs read no manifest

    found: dict[str, str] = {}
    problems: list[Problem] = []
    seen = False
    try:
        for document in yaml.compose_all(_text(path), Loader=yaml.SafeLoader):
            for data in _configmaps(document):
                seen = True
                found |= _data(data, _name(path), problems)
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise UsageError(
            f"{_name(path)}:{line}: not YAML: {fault.problem}", hint="Check the indentation."
        ) from None
    except (yaml.YAMLError, RecursionError):
        raise UsageError(f"{_name(path)}: not YAML", hint="Give a manifest of kind ConfigMap.") from None
    if problems:
        raise SettingsError(tuple(problems))
    if not seen:
        raise UsageError(f"{_name(path)}: holds no ConfigMap", hint="Give a manifest of kind ConfigMap.")
    return found


def from_values_files(paths: Iterable[str | Path]) -> tuple[dict[str, str], tuple[Note, ...]]:
    """Read the settings that Helm values files of the chart become, later files over earlier ones."""
    import yaml  # noqa: PLC0415 - heavy, and most runs read none

    values: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(_text(path))
        except (yaml.YAMLError, RecursionError) as fault:
            mark = getattr(fault, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise UsageError(f"{_name(path)}{line}: not YAML", hint="Check the indentation.") from None
        if not isinstance(found or {}, dict):
            raise UsageError(f"{_name(path)}: no mapping of values", hint="Give a values file of the chart.")
        values = merge_values(values, found or {})
    return settings_of(values)


def _configmaps(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the `data` (key to YAML node) of each ConfigMap in a document, also of those in a List."""
    fields = _fields(node)
    kind = getattr(fields.get("kind"), "value", "")
    if kind == "ConfigMap":
        yield _fields(fields.get("data"))
    elif isinstance(kind, str) and kind.endswith("List"):
        for item in getattr(fields.get("items"), "value", []):
            yield from _configmaps(item)


def _fields(node: Any) -> dict[str, Any]:
    if node is None or node.id != "mapping":
        return {}
    return {key.value: value for key, value in node.value if isinstance(key.value, str)}


def _data(nodes: Mapping[str, Any], name: str, problems: list[Problem]) -> dict[str, str]:
    found = {}
    for key, node in nodes.items():
        kind = node.tag.rpartition(":")[2]
        if kind in ("str", "null"):
            found[key] = node.value if kind == "str" else ""
            continue
        value, remedy = "", f"Write {key}: |- and the value on the lines below."
        if isinstance(node.value, str):
            value, remedy = node.value, f'Write {key}: "{node.value}", in quotes.'
        place = f"{name}:{node.start_mark.line + 1}"
        problems.append(Problem(key, value, f"{place}: is no text, and a ConfigMap holds only texts", remedy))
    return found


def from_manifests(path: str | Path) -> list[Any]:
    """Return the documents of a YAML or JSON file as plain values, those of a List one by one.

    `-` is standard input. Raise `UsageError` for what cannot be read.
    """
    import yaml  # noqa: PLC0415 - heavy, and most runs read no manifest

    try:
        found = [document for document in yaml.safe_load_all(_text(path)) if document is not None]
    except yaml.YAMLError as fault:
        said = " ".join(str(fault).split())
        raise UsageError(f"{_name(path)}: no YAML: {said}", hint="Check indentation and quotes.") from fault
    flat: list[Any] = []
    for document in found:
        is_list = isinstance(document, dict) and document.get("kind") == "List"
        flat += document.get("items") or [] if is_list else [document]
    return flat


def _one_slip_away(name: str, values: Mapping[str, str]) -> str:
    unset = (key for key in KEYS if len(key) >= SHORTEST_GUESSED and not values.get(key))
    return next((key for key in unset if one_slip_apart(name, key)), "")


def _text(path: str | Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else Path(path).read_text("utf-8")
    except OSError as fault:
        raise UsageError(f"{_name(path)}: {fault.strerror}", hint="Give a file that can be read.") from fault
    except UnicodeDecodeError as fault:
        raise UsageError(f"{_name(path)}: not UTF-8", hint="Save the file as UTF-8.") from fault


def _name(path: str | Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def kubeconfig() -> str:
    """Return the kubeconfig file to use: $KUBECONFIG, else ~/.kube/config if there is one, else empty."""
    given = os.environ.get("KUBECONFIG", "").strip()
    home = os.environ.get("HOME", "").strip()
    standard = Path(home) / ".kube" / "config"
    return given or (str(standard) if home and standard.is_file() else "")
