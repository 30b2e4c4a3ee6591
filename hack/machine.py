"""What the scripts of this folder need from the machine they run on."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from localcluster.layout import TOP, cache_folder

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}[
    platform.machine()
]
"""The architecture of this machine, as images call it."""


def cache_directory() -> Path:
    """Return the directory, outside the checkout, of what took long to make: image bases and the like."""
    return cache_folder() / "images"


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


def registry() -> str:
    """Return the host and port of the cluster's registry."""
    if on_kind():
        return os.environ["REGISTRY"]
    for line in run_quietly(str(TOP / "hack/cluster"), "env").splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        if name == "REGISTRY":
            return shlex.split(value)[0]
    say("`hack/cluster env` names no REGISTRY; start the cluster with hack/cluster up")
    sys.exit(1)


def push_image(name: str, layout: Path) -> str:
    """Push an OCI layout to the cluster's registry as it is, and return the reference that pods can use."""
    if not on_kind():
        return run_quietly(str(TOP / "hack/cluster"), "image", "push", name, str(layout)).strip()
    reference = f"{registry()}/{name}"
    options = ("--preserve-digests", "--dest-tls-verify=false")
    run_quietly("skopeo", "--insecure-policy", "copy", *options, f"oci:{layout}", f"docker://{reference}")
    return reference


def on_kind() -> bool:
    """Whether the e2e tests run on the cluster of hack/kind instead of hack/cluster's."""
    return os.environ.get("KIP_E2E_CLUSTER") == "kind"
