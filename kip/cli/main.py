"""The command `kip`: its groups of options, its errors, its exit codes."""

import importlib
import sys
from collections.abc import Sequence

import click

from kip.cli.output import complain
from kip.errors import KipError

COMMANDS = {
    "run": "Keep the images: the long-running process of the Deployment.",
    "render": "Print the DaemonSet that the settings ask for; no cluster is needed.",
    "plan": "Show what the keeper would do to the cluster now, and why.",
    "status": "Show which image is on which node.",
    "wait": "Wait until the images are on the nodes; for pipelines and gates.",
    "pull": "Pull images to nodes before they are needed: OpenKruise's jobs, run from here.",
    "check": "Say whether settings, rights and cluster go together, and what to mend.",
    "version": "Print the version.",
}
EPILOG = """\b
Exit codes:
  0  done, complete, nothing to do
  1  an error; the message says what and how to mend it
  2  the settings or the command line cannot be used
  3  not complete (status, pull), not reached (wait), changes are due (plan), something is not fine (check)
  4  the API server refuses: credentials or rights are missing

The settings are environment variables; README.md lists them all. `kip render --env-file FILE` shows what a
file of them would give.
"""


class LazyCommands(click.Group):
    """Imports a command's module only when it is used: `kip render` never loads the Kubernetes client."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"kip.cli.{name}").command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyCommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def kip() -> None:
    """Keep container images on the nodes of a Kubernetes cluster.

    The keeper (`kip run`) reads its settings from the environment and sees to it that every listed image is
    on every selected node and stays there.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = kip.main(arguments, prog_name="kip", standalone_mode=False)
    except KipError as error:
        complain(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except OSError as error:
        # What was to be written could not be: a full disk, for example.
        complain(KipError(str(error)))
        code = 1
    sys.exit(code or 0)
