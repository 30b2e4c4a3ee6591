"""`kip status`."""

import sys
import time

import click

from kip.cli.cache_reader import read_status
from kip.cli.options import cluster_options, output_option, place_from, place_options
from kip.cli.output import document
from kip.cli.page import show_page
from kip.cli.status_table import picture
from kip.cli.tables import console
from kip.cli.wait_loop import PASSING, pace, pauses
from kip.cluster.api import Cluster
from kip.cluster.client import connect
from kip.config import sources
from kip.config.bootstrap import CacheRef
from kip.core.status.matrix import to_document
from kip.errors import UsageError
from kip.log import configure

INCOMPLETE = 3
EXAMPLES = """\b
Examples:
  kip status -n k8s-image-puller
  kubectl kip status --nodes -o wide
  kip status --watch
  kip status --open
"""


@click.command("status", epilog=EXAMPLES)
@place_options
@click.option("--nodes", "by_node", is_flag=True, help="A row for each node, not for each image.")
@click.option("-w", "--watch", is_flag=True, help="Show it live, until Ctrl-C; needs a terminal.")
@click.option("--open", "page", is_flag=True, help="Show it as a page in the browser, until Ctrl-C.")
@cluster_options
@output_option("table", "wide", "yaml", "json", default="table")
@click.pass_context
def command(
    ctx: click.Context,
    namespace: str,
    daemonset: str,
    kubeconfig: str,
    context: str,
    output: str,
    *,
    by_node: bool,
    watch: bool,
    page: bool,
) -> None:
    """Show which image is on which node, as the kubelets report it.

    `wide` counts the nodes of each image and shows its size, its slowest pull of late and its digests; with
    --nodes it names what a node lacks.

    Exit code 0: every image is on every selected node; 3: not yet, or not at all.
    """
    place = place_from(namespace, daemonset)
    wide = output == "wide"
    if watch and (output in ("json", "yaml") or not sys.stdout.isatty()):
        raise UsageError("--watch shows a table on a terminal", hint="`kip wait` waits, and is for programs.")
    if page and (watch or by_node or output != "table"):
        raise UsageError("--open goes with no other form", hint="The page shows nodes, images and digests.")
    cluster = connect(kubeconfig or sources.kubeconfig(), context)
    if page:
        ctx.exit(0 if show_page(cluster, place) else INCOMPLETE)
    if watch:
        _show_live(cluster, place, by_node=by_node, wide=wide)
    pulls = output in ("json", "yaml") or (wide and not by_node)
    matrix = read_status(cluster, place.namespace, place.daemonset_name, pulls=pulls, taints=True)
    if output in ("json", "yaml"):
        click.echo(document(to_document(matrix), output), nl=False)
    else:
        console().print(picture(matrix, by_node=by_node, wide=wide))
    ctx.exit(0 if matrix.complete else INCOMPLETE)


def _show_live(cluster: Cluster, place: CacheRef, *, by_node: bool, wide: bool) -> None:
    """Show the table again and again; Ctrl-C ends it, and leaves the last one to be printed as always."""
    from rich.console import Group  # noqa: PLC0415 - only people pay for it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    configure(level="error", stream=sys.stderr)
    with (
        pauses(cluster, place.namespace, place.daemonset_name) as pause,
        Live(console=console(), auto_refresh=False, transient=True, vertical_overflow="crop") as live,
    ):
        shown = Group()
        try:
            while True:
                started = time.monotonic()
                try:
                    matrix = read_status(cluster, place.namespace, place.daemonset_name)
                    shown = picture(matrix, by_node=by_node, wide=wide)
                    live.update(shown, refresh=True)
                except PASSING as error:
                    old = Text(f"What is shown is old: {error}", style="yellow")
                    live.update(Group(shown, old), refresh=True)
                pause(*pace(time.monotonic() - started))
        except KeyboardInterrupt:
            return
