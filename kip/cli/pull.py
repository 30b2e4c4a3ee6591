"""`kip pull`."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from types import FrameType
from typing import Any

import click

from kip.cli.options import cluster_options, filled, output_option, seconds
from kip.cli.output import document, remark
from kip.cli.pull_jobs import Typed, from_files, from_typed, held
from kip.cli.pull_progress import telling
from kip.cli.pull_rbac import rbac
from kip.cli.pull_report import is_complete, said, tables, to_document
from kip.cli.tables import console
from kip.cluster.api import Cluster
from kip.cluster.client import connect
from kip.cluster.reads import OPENSHIFT_GROUP
from kip.config import sources
from kip.config.bootstrap import cache_ref, kip_image
from kip.errors import UsageError
from kip.log import configure
from kip.pulljob.manifest_reader import POLICIES
from kip.pulljob.pod import Shape
from kip.pulljob.runner import Runner, RunResult
from kip.pulljob.spec import PullJob

NOT_COMPLETE = 3
EXAMPLES = """\b
Examples:
  kip pull -f job.yaml --set image=registry.example/app:1.4.2
  kip pull registry.example/app:1.4.2 --selector pool=web --parallelism 20 --deadline 20m
  kip pull registry.example/app:1.4.2 --pods app=web        # where the old version runs
  kip pull registry.example/app:1.4.2 --nodes node1,node2 --keep 2h
  kip pull --print-rbac -n ci | kubectl apply -f -
"""


@click.command("pull", epilog=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Manifests of jobs; - for stdin.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="With -f: set image or name.")
@click.option(
    "-n", "--namespace", default="", help="Where the pods run. Default: NAMESPACE, else the pod's own."
)
@click.option("--nodes", callback=filled, metavar="NAMES", help="Only these nodes: a,b.")
@click.option(
    "--selector", callback=filled, metavar="LABELS", help="Only nodes with these labels: pool=a,zone!=b."
)
@click.option("--pods", callback=filled, metavar="LABELS", help="Only nodes that run pods with these labels.")
@click.option("--parallelism", type=click.IntRange(0), help="How many nodes pull at once.  [default: 10]")
@click.option("--timeout", callback=seconds, metavar="DURATION", help="For one attempt.  [default: 10m]")
@click.option("--retries", type=click.IntRange(0), help="Of an image on a node.  [default: 3]")
@click.option("--deadline", callback=seconds, metavar="DURATION", help="For everything.  [default: none]")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="Pull secret there; repeatable.")
@click.option(
    "--pull-policy",
    "policy",
    type=click.Choice(POLICIES),
    help="When to ask the registry.  [default: IfNotPresent]",
)
@click.option("--keep", callback=seconds, metavar="DURATION", help="Pin what was pulled for so long.")
@click.option(
    "--kip-image", "sleeper", default="", metavar="IMAGE", help="Has the sleeper. Default: KIP_IMAGE."
)
@click.option("--print-rbac", is_flag=True, help="Print the rights that are needed, and end.")
@cluster_options
@output_option("text", "yaml", "json", default="text")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    namespace: str,
    keep: float | None,
    sleeper: str,
    kubeconfig: str,
    context: str,
    output: str,
    *,
    print_rbac: bool,
    **typed: Any,
) -> None:
    """Pull images to nodes before they are needed, and say what is where.

    Give the images, or with -f OpenKruise's ImagePullJob and ImageListPullJob. On each node a short-lived pod
    has the kubelet pull them; nothing privileged is needed. Progress goes to standard error, the end to
    standard output. Ctrl-C removes the pods.

    A node may collect an unused image again when its disk fills up: --keep pins it for a while, `kip run` for
    good.

    Exit code 0: every image is on every node; 3: not, and what is missing is said.
    """
    configure(level="warning", stream=sys.stderr)
    environment = sources.from_environment()
    place = cache_ref(environment, pod_namespace=sources.pod_namespace()).namespace
    asked = Typed(**{key: value for key, value in typed.items() if value is not None})
    if print_rbac:
        _print(rbac(namespace or place, nodes_named=bool(asked.nodes)), output)
        return
    jobs = _jobs(asked, files, sets, namespace, place)
    if keep:
        jobs = [held(job, keep, datetime.now(UTC).isoformat()) for job in jobs]
    cluster = connect(kubeconfig or sources.kubeconfig(), context)
    shape = Shape(sleeper or kip_image(environment), OPENSHIFT_GROUP in cluster.api_groups())
    ends: list[tuple[PullJob, RunResult]] = []
    stopped_by = 0
    for job in jobs:
        end, stopped_by = _run(cluster, job, shape)
        ends.append((job, end))
        if output == "text":
            _tell(job, end)
        if stopped_by:
            break
    if output != "text":
        click.echo(document(to_document(ends), output), nl=False)
    complete = len(ends) == len(jobs) and all(is_complete(end) for _, end in ends)
    ctx.exit(128 + stopped_by if stopped_by else 0 if complete else NOT_COMPLETE)


def _jobs(
    typed: Typed, files: tuple[str, ...], sets: tuple[str, ...], namespace: str, place: str
) -> list[PullJob]:
    if bool(files) == bool(typed.images):
        raise UsageError("what to pull is missing, or said twice", hint="Give images, or manifests with -f.")
    if not files:
        if sets:
            raise UsageError("--set goes with -f", hint="Write the image itself.")
        return [from_typed(typed, namespace or place)]
    if typed.options:
        hint = "Write it into the manifest; --keep goes with -f too."
        raise UsageError(f"{', '.join(typed.options)} cannot go with -f", hint=hint)
    return [_endable(job) for job in from_files(files, sets, namespace, place)]


def _endable(job: PullJob) -> PullJob:
    """Return the job as a command can run it: once."""
    if job.forever:
        remark(f"{job.name}: completionPolicy Never means for ever; this run ends when it is done once")
    return replace(job, forever=False)


def _run(cluster: Cluster, job: PullJob, shape: Shape) -> tuple[RunResult, int]:
    """Run a job; return its end, and the signal that stopped it (0 for none)."""
    with telling(job) as told:
        runner = Runner(
            cluster,
            job,
            shape,
            lambda: datetime.now(UTC),
            time.monotonic,
            Random(),  # noqa: S311 - jitter guards nothing
            told,
        )
        with _stopping(runner) as stopped_by:
            end = runner.run()
    return end, stopped_by[0] if end.stopped and stopped_by else 0


@contextmanager
def _stopping(runner: Runner) -> Iterator[list[int]]:
    """Stop the run at the first signal, and leave everything as it is at the second."""
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        runner.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(job: PullJob, end: RunResult) -> None:
    out = console()
    out.print(tables(job, end))
    for text in said(job, end):
        out.print(text, markup=False, soft_wrap=True)


def _print(documents: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        click.echo(document({"apiVersion": "v1", "kind": "List", "items": documents}, output), nl=False)
    else:
        click.echo("---\n".join(document(one, "yaml") for one in documents), nl=False)
