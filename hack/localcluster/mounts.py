"""Mounts below the cluster's own folders, and disks made of files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def below(folder: Path) -> list[Path]:
    """Return the mount points below `folder`, itself included, the deepest and newest first."""
    prefix = str(folder)
    lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    points = [_unescaped(line.split()[4]) for line in lines]
    return [Path(point) for point in reversed(points) if point == prefix or point.startswith(f"{prefix}/")]


def unmount_below(folder: Path, *, keep: Path | None = None) -> None:
    """Unmount everything below `folder` except `keep` itself; what is busy is let go as soon as it can be."""
    for point in below(folder):
        if (
            point != keep
            and subprocess.run(["umount", str(point)], capture_output=True, check=False).returncode
        ):
            subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)


def ensure_disk(image: Path, point: Path, mib: int) -> None:
    """Mount a small ext4 file system of its own at `point`, kept in the file `image`."""
    if point in below(point):
        return
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(mib * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True, capture_output=True)


def release_loop(image: Path) -> None:
    """Detach the loop devices of a file, if any are left."""
    found = subprocess.run(
        ["losetup", "--noheadings", "--output", "NAME", "--associated", str(image)],
        capture_output=True,
        text=True,
        check=False,
    )
    for device in found.stdout.split():
        subprocess.run(["losetup", "--detach", device], capture_output=True, check=False)


def _unescaped(text: str) -> str:
    """Return a path as it is; the kernel writes spaces and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
