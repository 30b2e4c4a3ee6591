"""How output looks: documents for programs, messages for people."""

import json
from typing import Any

import click

from kip.errors import KipError, SettingsError
from kip.redact import redacted


def document(value: Any, form: str) -> str:
    """Return a plain value as `yaml` or `json`, keys in the order given, ending in a newline."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415 - not needed for json

    # The C emitter, where PyYAML was built with it, takes a tenth of the time; the output is the same.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def complain(error: KipError) -> None:
    """Print an error to standard error: each problem of the settings by itself, and the way out."""
    if isinstance(error, SettingsError):
        click.secho(error.title, err=True, fg="red")
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    else:
        click.secho(f"Error: {redacted(str(error))}", err=True, fg="red")
    if error.hint:
        click.echo(error.hint, err=True)


def remark(text: str) -> None:
    """Print a remark for people to standard error, so that standard output stays a document."""
    click.echo(text, err=True)
