"""What the scripts of this folder need from the machine they run on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}[
    platform.machine()
]
"""The architecture of this machine, as images call it."""


def cache_directory() -> Path:
    """Return the directory, outside the checkout, of what took long to make: image bases and the like."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kip"
    return Path(os.environ.get("KIP_CACHE_DIR") or default) / "images"


def say(message: str) -> None:
    """Tell a person what goes on."""
    print(f"hack/{Path(sys.argv[0]).name}: {message}", file=sys.stderr)


def run_quietly(*command: str, **environment: str) -> str:
    """Run a program whose many lines matter only when it fails; return its standard output."""
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if result.returncode:
        sys.stderr.write(result.stdout + result.stderr)
        say(f"`{' '.join(command)}` failed with exit code {result.returncode}")
        sys.exit(1)
    return result.stdout


def install_missing(*programs: str, **packages: str) -> None:
    """Install the Debian packages of the programs that are missing.

    A package has its program's name, or the one given: `install_missing("skopeo", busybox="busybox-static")`.
    """
    wanted = {program: program for program in programs} | packages
    missing = [package for program, package in wanted.items() if not shutil.which(program)]
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    administrator = [] if os.geteuid() == 0 else ["sudo"]
    run_quietly(*administrator, "apt-get", "update")
    run_quietly(
        *administrator,
        "apt-get",
        "install",
        "--no-install-recommends",
        "--yes",
        *missing,
        DEBIAN_FRONTEND="noninteractive",
    )
