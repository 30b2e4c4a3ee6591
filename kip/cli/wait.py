"""`kip wait`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import click

from kip.cli.cache_reader import CacheReader
from kip.cli.options import cluster_options, number, output_option, place_from, place_options, seconds
from kip.cli.output import document, remark
from kip.cli.wait_loop import WaitLoop, WaitResult, pauses
from kip.cluster.client import connect
from kip.config import sources
from kip.config.bootstrap import CacheRef
from kip.core.rollout.progress import Progress
from kip.core.status.cell import NODE_NOT_READY, UNTOLERATED_TAINT, Cell, ImageState
from kip.core.status.matrix import Matrix, to_document
from kip.core.status.problems import image_problems_in, refusal_of
from kip.core.status.wait_condition import Goal, Judgement, Result
from kip.core.text import join_names
from kip.log import configure

NOT_REACHED = 3
DEFAULT_TIMEOUT = "10m"
EXAMPLES = """\b
Examples:
  kip wait -n k8s-image-puller --timeout 15m
  kip wait --image quay.io/example/ide:1.2.3 --fail-fast
  kip wait --nodes pool=builders --min-percent 95 -o json
"""

Told = Callable[[Judgement], None]


@click.command("wait", epilog=EXAMPLES)
@place_options
@click.option(
    "--timeout",
    callback=seconds,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="DURATION",
    help="Such as 90s, 15m or 1h30m; 0 looks once.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="REF",
    help="Only this image, or name; repeatable.",
)
@click.option("--nodes", default="", metavar="SELECTOR", help="Only nodes with these labels: pool=a,zone!=b.")
@click.option(
    "--min-percent",
    type=click.FloatRange(0, 100, min_open=True),
    callback=number,
    default=100.0,
    show_default=True,
    help="Each image has to be on this share of the nodes.",
)
@click.option("--fail-fast", is_flag=True, help="End at once where an image fails and no retry will cure it.")
@click.option("--allow-none", is_flag=True, help="No node that matches is enough.")
@cluster_options
@output_option("text", "yaml", "json", default="text")
@click.pass_context
def command(
    ctx: click.Context,
    namespace: str,
    daemonset: str,
    timeout: float,
    images: tuple[str, ...],
    nodes: str,
    min_percent: float,
    kubeconfig: str,
    context: str,
    output: str,
    *,
    fail_fast: bool,
    allow_none: bool,
) -> None:
    """Wait until the images are on the nodes; for pipelines and gates.

    An edit of the settings that the cache has not taken yet is waited for too, where Deployment and ConfigMap
    may be read. Progress goes to standard error, the end to standard output.

    Exit code 0: reached; 3: not, by timeout or failure, and what is missing is said.
    """
    configure(level="error", stream=sys.stderr)
    environment, pod_namespace = sources.from_environment(), sources.pod_namespace()
    place = place_from(namespace, daemonset)
    cluster = connect(kubeconfig or sources.kubeconfig(), context)
    looker = CacheReader(cluster, place.namespace, place.daemonset_name, environment, pod_namespace, nodes)
    goal = Goal(images, min_percent, fail_fast=fail_fast, allow_none=allow_none)
    with pauses(cluster, place.namespace, place.daemonset_name) as pause, _telling() as told:
        random = Random()  # noqa: S311 - jitter guards nothing
        end = WaitLoop(goal, looker.look, pause, time.monotonic, random, told).wait(timeout)
    if output == "text":
        click.echo("\n".join(_said(end, place)))
    else:
        click.echo(document(_document(end, place), output), nl=False)
    ctx.exit(0 if end.verdict.result is Result.REACHED else NOT_REACHED)


@contextmanager
def _telling() -> Iterator[Told]:
    """Give what tells of progress: a bar on a terminal, else a line for each change."""
    if not sys.stderr.isatty():
        said = ""

        def tell(verdict: Judgement) -> None:
            nonlocal said
            if (text := progress(verdict)) != said and verdict.result is Result.OPEN:
                remark(text)
                said = text

        yield tell
        return
    with _bar() as told:
        yield told


@contextmanager
def _bar() -> Iterator[Told]:
    from rich.console import Console  # noqa: PLC0415 - only people pay for it
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    elapsed, text = TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, highlight=False, emoji=False)
    with Progress(BarColumn(), elapsed, text, console=console, transient=True) as bar:
        task = bar.add_task("looking", total=None)

        def tell(verdict: Judgement) -> None:
            bar.update(
                task,
                completed=verdict.there,
                total=verdict.wanted or None,
                description=progress(verdict),
            )

        yield tell


def progress(verdict: Judgement) -> str:
    """Say in a line how far it is."""
    counts = f"{verdict.there} of {verdict.wanted} images are there" if verdict.wanted else ""
    states = [
        f"{number} {state.value}"
        for state in ImageState
        if (number := sum(cell.state is state for cell in verdict.missing))
    ]
    return "; ".join(filter(None, [counts, ", ".join(states), verdict.why]))


def _said(end: WaitResult, place: CacheRef) -> Iterator[str]:
    """Say how it ended, what is missing where and why, and what to type next."""
    verdict = end.verdict
    name = f"DaemonSet {place.namespace}/{place.daemonset_name}"
    if verdict.result is Result.REACHED:
        counts = f"{verdict.there} of {verdict.wanted} images on {verdict.nodes} nodes"
        yield f"Reached after {end.seconds:.0f} s: {counts} ({name})."
        yield from _unselected(verdict)
        return
    how = "Failed" if verdict.result is Result.FAILED else "Not reached"
    yield f"{how} after {end.seconds:.0f} s: {progress(verdict) or 'nothing is known'} ({name})."
    refusal = refusal_of(end.matrix) if end.matrix else None
    for trouble in (*image_problems_in(verdict.missing), *filter(None, [refusal])):
        yield from trouble.lines
    yield from _unselected(verdict)
    yield f"Next: {_next(verdict, end.matrix, place)}"


def _unselected(verdict: Judgement) -> Iterator[str]:
    if verdict.unselected:
        nodes = join_names(verdict.unselected)
        yield f"Not waited for: {nodes}; NODE_SELECTOR or AFFINITY of the cache does not select them."


def _next(verdict: Judgement, matrix: Matrix | None, place: CacheRef) -> str:
    """Return the command that says more."""
    if matrix is None:
        return "kubectl get daemonsets -A"
    if verdict.why and not (verdict.missing and verdict.result is Result.FAILED):
        return f"kip check -n {place.namespace}"
    cell = min(verdict.missing, key=_worth_a_look, default=None)
    if cell is None or not cell.reason:
        return f"kip status -n {place.namespace} --daemonset {place.daemonset_name}"
    if cell.state is ImageState.WAITING or cell.reason == NODE_NOT_READY:
        return f"kubectl describe node {cell.node}"
    return (
        f"kubectl -n {place.namespace} describe pods --field-selector spec.nodeName={cell.node}"
        if cell.state is ImageState.FAILED
        else f"kip check -n {place.namespace}"
    )


def _worth_a_look(cell: Cell) -> tuple[bool, ...]:
    first = (cell.state is ImageState.FAILED, cell.reason == UNTOLERATED_TAINT, cell.reason == NODE_NOT_READY)
    return (*(not it for it in first), not cell.reason)


def _document(end: WaitResult, place: CacheRef) -> dict[str, Any]:
    """Return the document of `kip status`, and how the wait ended."""
    nothing = Progress(0, 0, 0, current=False)
    matrix = end.matrix or Matrix(place.namespace, place.daemonset_name, 0, nothing, (), ())
    verdict = end.verdict
    result = "timeout" if verdict.result is Result.OPEN else verdict.result.value
    wait = {"result": result, "why": verdict.why, "seconds": round(end.seconds, 1)}
    wait |= {"there": verdict.there, "wanted": verdict.wanted}
    wait |= {"unselected": [*verdict.unselected]}
    return {**to_document(matrix), "wait": wait}
