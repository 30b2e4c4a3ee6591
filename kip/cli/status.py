"""`kip status`."""

import click

from kip.cli.cache import read_status
from kip.cli.faults import faults
from kip.cli.options import cluster_options, output_option
from kip.cli.output import document
from kip.cluster.client import connect
from kip.config import sources
from kip.config.partial import cache_place
from kip.core.status import Cell, Matrix, State, to_document

INCOMPLETE = 3
NODE_COLUMNS = 8
"""With more nodes than this the table counts them instead of naming each."""

FILE_WIDTH = 10_000
"""Into a file or a pipe no line is folded."""

MARKS = {
    State.CACHED: ("cached", "green"),
    State.PULLING: ("pulling", "cyan"),
    State.WAITING: ("waiting", "cyan"),
    State.FAILED: ("FAILED", "red"),
    State.ABSENT: ("absent", "yellow"),
}


@click.command("status")
@click.option("-n", "--namespace", default="", help="Default: NAMESPACE, else the pod's own.")
@click.option("--daemonset", default="", help="The cache's name. Default: DAEMONSET_NAME.")
@cluster_options
@output_option("table", "yaml", "json", default="table")
@click.pass_context
def command(
    ctx: click.Context, namespace: str, daemonset: str, kubeconfig: str, context: str, output: str
) -> None:
    """Show which image is on which node, as the kubelets report it.

    Exit code 0: every image is on every selected node; 3: not yet, or not at all.
    """
    place = cache_place(sources.from_environment(), pod_namespace=sources.pod_namespace())
    cluster = connect(kubeconfig or sources.kubeconfig(), context)
    matrix = read_status(cluster, namespace or place.namespace, daemonset or place.daemonset_name)
    if output == "table":
        _print(matrix)
    else:
        click.echo(document(to_document(matrix), output), nl=False)
    ctx.exit(0 if matrix.complete else INCOMPLETE)


def _print(matrix: Matrix) -> None:
    from rich.console import Console  # noqa: PLC0415 - only people pay for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    by_node = len(matrix.nodes) <= NODE_COLUMNS
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("NAME", "IMAGE", *(matrix.nodes if by_node else [state.value.upper() for state in State])):
        table.add_column(title, overflow="fold")
    cells = {(cell.name, cell.node): cell for cell in matrix.cells}
    for (name, image), count in matrix.counts().items():
        if by_node:
            row = [_mark(cells[name, node]) for node in matrix.nodes]
        else:
            row = [str(count[state]) for state in State]
        table.add_row(Text(name), Text(image), *row)
    # No emoji: `:1234:`, as in the kubelet's "dial tcp 10.0.0.1:1234: refused", would become one.
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)
    for line in faults(matrix.cells):
        console.print(line, markup=False, style="red")
    console.print(_verdict(matrix), markup=False)


def _mark(cell: Cell) -> str:
    word, colour = MARKS[cell.state]
    return f"[{colour}]{word}[/]"


def _verdict(matrix: Matrix) -> str:
    place = f"DaemonSet {matrix.namespace}/{matrix.daemonset}"
    images, wanted = len(matrix.counts()), matrix.progress.wanted
    if matrix.complete:
        return f"Complete: {images} images on {wanted} nodes ({place})."
    if matrix.progress.state == "no matching nodes":
        return f"No node matches: check NODE_SELECTOR, AFFINITY and TOLERATIONS ({place})."
    cached = sum(cell.state is State.CACHED for cell in matrix.cells)
    return f"Not complete: {cached} of {images * wanted} images on {wanted} nodes are there ({place})."
