"""What `kip pull` tells on the way: a bar for each image on a terminal, else a line for each change."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kip.cli.output import remark
from kip.pulljob.planner import JobPlan
from kip.pulljob.record import FRESH, NodeRecord, Record
from kip.pulljob.runner import Told
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import Targets

MOST_BARS = 20
LONGEST_NAME = 60


@contextmanager
def telling(job: PullJob) -> Iterator[Told]:
    """Give what tells of progress, on standard error."""
    if sys.stderr.isatty():
        with _bars(job) as told:
            yield told
    else:
        yield Lines(job)


class Lines:
    """Says each change in a line."""

    def __init__(self, job: PullJob) -> None:
        self._job = job
        self._before: Record | None = None
        self._message = ""

    def __call__(self, targets: Targets, step: JobPlan) -> None:
        """Say what is new since the last step."""
        status, job = step.status, self._job
        if self._before is None:
            images = f"{len(job.images)} image{'s' if len(job.images) > 1 else ''}"
            remark(f"{job.name}: {images} to {status.desired} nodes, {job.parallelism} at a time")
            for skipped in targets.skipped:
                remark(f"{skipped.node}: left out: {skipped.reason}")
            for target in targets.nodes:
                if target.missing:
                    remark(f"{target.name}: there is no node of that name")
        for name, one in step.record.nodes.items():
            before = self._before.of(name) if self._before else FRESH
            if one is not before:
                for text in changes(job, before, one):
                    remark(f"{name}: {text}")
        self._before = step.record


def changes(job: PullJob, before: NodeRecord, one: NodeRecord) -> Iterator[str]:
    """Say what is new on a node."""
    for number, image in enumerate(job.images):
        bit = 1 << number
        fault = one.faults.get(number)
        why = f"{fault.reason}: {fault.message}".rstrip(": ") if fault else ""
        if one.pulled & ~before.pulled & bit:
            pull = one.pulls.get(number)
            time = f" in {pull.seconds:.1f} s" if pull and pull.seconds is not None else ""
            yield f"{image} pulled{time}"
        elif one.failed & ~before.failed & bit:
            yield f"{image} failed: {why}"
        elif one.tries.get(number, 0) > before.tries.get(number, 0):
            yield f"{image}: attempt {one.tries[number]} of {job.backoff_limit + 1} failed: {why}"
    if one.lost > before.lost and not one.failed & ~before.failed:
        yield "the pod went away, and is made again"


@contextmanager
def _bars(job: PullJob) -> Iterator[Told]:
    from rich.console import Console  # noqa: PLC0415 - only people pay for it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    text = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, highlight=False, emoji=False)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), text)
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = [bars.add_task(image[-LONGEST_NAME:], total=None) for image in job.images[:MOST_BARS]]
        if len(job.images) > MOST_BARS:
            bars.add_task(f"and {len(job.images) - MOST_BARS} more images", total=None)

        def tell(_targets: Targets, step: JobPlan) -> None:
            for task, image in zip(tasks, step.status.images, strict=False):
                failed = f", {image.failed} failed" if image.failed else ""
                bars.update(
                    task,
                    completed=image.succeeded,
                    total=step.status.desired,
                    description=f"{image.image[-LONGEST_NAME:]}: {image.active} pulling{failed}",
                )

        yield tell
