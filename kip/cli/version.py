"""`kip version`."""

import click

from kip import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"kip {__version__}")
