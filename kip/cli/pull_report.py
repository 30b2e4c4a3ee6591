"""How a pull ended: a table for people, a document for programs."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kip.cli.tables import amount, duration, new_table, short_digest
from kip.core.status.matrix import API_VERSION
from kip.core.status.remedies import remedy_of_pull
from kip.core.text import join_names
from kip.pulljob.runner import RunResult
from kip.pulljob.spec import PullJob
from kip.pulljob.status import PullCell, PullState, cells

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 40
"""Of more images times nodes the table has a row for each image."""


def is_complete(end: RunResult) -> bool:
    """Whether every image is on every node that was meant; no node at all is not complete."""
    status = end.step.status
    return bool(status.finished) and 0 < status.desired == status.succeeded


def to_document(ends: Iterable[tuple[PullJob, RunResult]]) -> dict[str, Any]:
    """Return the ends of all jobs as plain values, for `-o json`; the keys are a promise to programs."""
    found = list(ends)
    return {
        "apiVersion": API_VERSION,
        "complete": all(is_complete(end) for _, end in found),
        "jobs": [_job(job, end) for job, end in found],
    }


def tables(job: PullJob, end: RunResult) -> "Table":
    """Return a table of what is where: cell by cell, or image by image where there are many."""
    found = list(cells(job, end.targets, end.step.record))
    return _by_cell(found) if len(found) <= MOST_ROWS else _by_image(found)


def said(job: PullJob, end: RunResult) -> Iterator[str]:
    """Say what failed why, what was left out, and how it ended."""
    status = end.step.status
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells(job, end.targets, end.step.record):
        if cell.fault and cell.state is not PullState.PULLED:
            key = (cell.image, cell.fault.reason, cell.fault.message)
            groups.setdefault(key, []).append(cell.node)
    for (image, reason, message), nodes in groups.items():
        yield f"{image} on {join_names(nodes)}: {reason}: {message}".rstrip(": ")
        if remedy := remedy_of_pull(reason, message):
            yield f"  {remedy}"
    for skipped in status.skipped:
        yield f"left out {skipped.node}: {skipped.reason}"
    how = "Complete" if is_complete(end) else "Stopped" if end.stopped else "Not complete"
    yield (
        f"{how} after {end.seconds:.0f} s: {status.succeeded} of {status.desired} nodes have all images"
        f" of {job.name}; {status.message}."
    )


def _job(job: PullJob, end: RunResult) -> dict[str, Any]:
    status = end.step.status
    return {
        "name": job.name,
        "namespace": job.namespace,
        "kind": job.kind,
        "complete": is_complete(end),
        "stopped": end.stopped,
        "message": status.message,
        "seconds": round(end.seconds, 1),
        "nodes": {
            "desired": status.desired,
            "succeeded": status.succeeded,
            "failed": status.failed,
            "failedNodes": list(status.failed_nodes),
            "skipped": [{"node": skipped.node, "reason": skipped.reason} for skipped in status.skipped],
        },
        "images": [
            {"image": image.image, "succeeded": image.succeeded, "failed": image.failed}
            for image in status.images
        ],
        "cells": [_cell(cell) for cell in cells(job, end.targets, end.step.record)],
    }


def _cell(cell: PullCell) -> dict[str, Any]:
    fault, pull = cell.fault if cell.state is not PullState.PULLED else None, cell.pull
    return {
        "node": cell.node,
        "image": cell.image,
        "state": cell.state.value,
        "reason": fault.reason if fault else "",
        "message": fault.message if fault else "",
        "digest": pull.digest if pull else "",
        "present": pull.there if pull else False,
        "seconds": pull.seconds if pull else None,
        "bytes": pull.size if pull else None,
    }


def _by_cell(found: list[PullCell]) -> "Table":
    table = new_table("IMAGE", "NODE", "STATE", "TIME", "SIZE", "DIGEST")
    for cell in found:
        pull, reason = cell.pull, cell.fault.reason if cell.fault else ""
        if cell.state is not PullState.PULLED:
            _row(table, cell.image, cell.node, cell.state.value, "", "", reason)
        elif pull:
            time = "was there" if pull.there else duration(pull.seconds)
            _row(
                table,
                cell.image,
                cell.node,
                cell.state.value,
                time,
                amount(pull.size),
                short_digest(pull.digest),
            )
        else:
            _row(table, cell.image, cell.node, cell.state.value, "", "", "")
    return table


def _by_image(found: list[PullCell]) -> "Table":
    table = new_table("IMAGE", "PULLED", "WERE THERE", "FAILED", "OTHER", "LONGEST", "SIZE", "DIGEST")
    by_image: dict[str, list[PullCell]] = {}
    for cell in found:
        by_image.setdefault(cell.image, []).append(cell)
    for image, row in by_image.items():
        pulls = [cell.pull for cell in row if cell.pull]
        pulled, failed = (
            sum(cell.state is state for cell in row) for state in (PullState.PULLED, PullState.FAILED)
        )
        there = sum(pull.there for pull in pulls)
        longest = max((pull.seconds for pull in pulls if pull.seconds is not None), default=None)
        digests = sorted({short_digest(pull.digest) for pull in pulls})
        counts = (str(pulled - there), str(there), str(failed), str(len(row) - pulled - failed))
        size = max((pull.size for pull in pulls if pull.size), default=None)
        _row(table, image, *counts, duration(longest), amount(size), ", ".join(digests))
    return table


def _row(table: "Table", *texts: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    table.add_row(*map(Text, texts))
