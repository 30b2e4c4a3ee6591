"""Options that several commands share."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from kip.cli.output import remark
from kip.config import sources
from kip.config.bootstrap import CacheRef, cache_ref
from kip.config.notes import Note
from kip.config.settings import Settings, read_settings
from kip.errors import UsageError

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
Command = TypeVar("Command", bound=Callable[..., Any])


def settings_options(command: Command) -> Command:
    """Where the settings come from: the environment, an env file or a ConfigMap manifest."""
    for option in (
        click.option(
            "--configmap", metavar="FILE", help="Read the settings from a ConfigMap manifest; - for stdin."
        ),
        click.option("--env-file", metavar="FILE", help="Read the settings from a file of KEY=value lines."),
    ):
        command = option(command)
    return command


def cluster_options(command: Command) -> Command:
    """Which cluster, for commands that are typed on a laptop as well as in the pod."""
    for option in (
        click.option("--context", default="", help="The context of the kubeconfig to use."),
        click.option("--kubeconfig", default="", metavar="FILE", help="Not $KUBECONFIG or ~/.kube/config."),
    ):
        command = option(command)
    return command


def place_options(command: Command) -> Command:
    """Which cache."""
    for option in (
        click.option("--daemonset", default="", help="The cache's name. Default: DAEMONSET_NAME."),
        click.option("-n", "--namespace", default="", help="Default: NAMESPACE, else the pod's own."),
    ):
        command = option(command)
    return command


def place_from(namespace: str, daemonset: str) -> CacheRef:
    """Return where the cache is: what was typed, else what the environment says."""
    place = cache_ref(sources.from_environment(), pod_namespace=sources.pod_namespace())
    return CacheRef(namespace or place.namespace, daemonset or place.daemonset_name)


def output_option(*forms: str, default: str) -> Callable[[Command], Command]:
    """Return the option `-o`."""
    return click.option(
        "-o", "--output", type=click.Choice(forms), default=default, show_default=True, help="The form."
    )


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read seconds, or such as `90s`, `15m`, `1h30m`; the callback of an option."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    if not match or not any(match.groups()):
        raise click.BadParameter(f"{value!r} is no duration. Write 90s, 15m or 1h30m.")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def number(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    """Refuse what counts as a float and is no number; the callback of an option."""
    if math.isnan(value):
        raise click.BadParameter("is no number.")
    return value


def filled(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse a choice that was given and is empty; the callback of an option."""
    if value is not None and not value.strip(" ,"):
        raise click.BadParameter("is empty, perhaps as a variable is. Leave the option out to mean all.")
    return value


def values_from(env_file: str | None, configmap: str | None) -> tuple[Mapping[str, str], tuple[Note, ...]]:
    """Return the settings as they are written, and the keys that are nearly a setting's."""
    if env_file and configmap:
        raise UsageError("--env-file and --configmap exclude each other", hint="Give one of them.")
    if env_file:
        values: Mapping[str, str] = sources.from_env_file(env_file)
    else:
        values = sources.from_configmap_manifest(configmap) if configmap else sources.from_environment()
    return values, sources.near_misses(values, environment=not (env_file or configmap))


def settings_from(env_file: str | None, configmap: str | None) -> Settings:
    """Read the settings; remarks about them go to standard error. Raises SettingsError, KipError."""
    values, notes = values_from(env_file, configmap)
    _remark(notes)
    reading = read_settings(values, pod_namespace=sources.pod_namespace())
    _remark(reading.notes)
    return reading.settings


def _remark(notes: Iterable[Note]) -> None:
    for note in notes:
        remark(f"{'left out' if note.refused else 'note'}: {note}")
