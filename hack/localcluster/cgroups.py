"""The cluster's own control groups, in version 1 and version 2 hierarchies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def make(folder: Path) -> None:
    """Make a cgroup two levels below a hierarchy's root, with all controllers that can be delegated."""
    folder.mkdir(parents=True, exist_ok=True)
    for parent in (folder.parent.parent, folder.parent):
        control = parent / "cgroup.subtree_control"
        if control.exists():
            wanted = " ".join(
                f"+{name}" for name in (parent / "cgroup.controllers").read_text("utf-8").split()
            )
            control.write_text(wanted, "utf-8")
        # In version 1 a cpuset is empty until it is told its CPUs and memory.
        for name in ("cpuset.cpus", "cpuset.mems"):
            child = folder.parent if parent == folder.parent.parent else folder
            if (
                (parent / name).exists()
                and (child / name).exists()
                and not (child / name).read_text("utf-8").strip()
            ):
                (child / name).write_text((parent / name).read_text("utf-8"), "utf-8")


def processes(folder: Path) -> Iterator[int]:
    """Yield the processes in a cgroup and everything below it."""
    for path in [folder, *_below(folder)]:
        with contextlib.suppress(OSError):
            yield from (int(line) for line in (path / "cgroup.procs").read_text("utf-8").split())


def remove(folder: Path) -> None:
    """Remove a cgroup and everything below it; what still has processes stays."""
    for path in [*sorted(_below(folder), key=lambda path: -len(path.parts)), folder]:
        with contextlib.suppress(OSError):
            path.rmdir()


def _below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_dir()] if folder.is_dir() else []
