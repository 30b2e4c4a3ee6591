"""The programs: built from Go modules at the versions that hack/programs pins, or from Debian's packages."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.layout import TOP, ClusterError, cache_folder
from localcluster.report import say

MODULES = TOP / "hack/programs"
DEBIAN = {
    "runc": "runc",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "skopeo": "skopeo",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "mkfs.ext4": "e2fsprogs",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Program or file, and the Debian package that has it."""


@dataclass(frozen=True)
class Module:
    """A Go module under hack/programs, and the programs that are built of it (package path by name)."""

    name: str
    programs: dict[str, str]
    flags: tuple[str, ...] = ()
    symbols: str = ""

    @property
    def folder(self) -> Path:
        """Return the folder of its go.mod."""
        return MODULES / self.name

    def version(self, module: str) -> str:
        """Return the version that go.mod pins for `module`."""
        found = re.search(rf"\b{re.escape(module)} v(\S+)", (self.folder / "go.mod").read_text("utf-8"))
        if not found:
            raise ClusterError(f"{self.folder}/go.mod pins no version of {module}")
        return found[1]


def modules() -> list[Module]:
    """Return all modules, the slowest last, so that a fault shows early."""
    kubernetes = Module("kubernetes", {})
    release = kubernetes.version("k8s.io/kubernetes")
    major, minor, _ = release.split(".", 2)
    version = "k8s.io/component-base/version"
    containerd = "github.com/containerd/containerd/v2"
    return [
        Module("pause", {"pause": "."}),
        Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
        Module(
            "containerd",
            {name: f"{containerd}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            ("-tags", "no_btrfs no_zfs no_aufs"),
            f"-X {containerd}/version.Version=v{Module('containerd', {}).version(containerd)}",
        ),
        Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
        Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
        Module(
            "kubernetes",
            {
                name: f"k8s.io/kubernetes/cmd/{name}"
                for name in (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kubelet",
                    "kubectl",
                )
            },
            (),
            f"-X {version}.gitVersion=v{release} -X {version}.gitMajor={major} -X {version}.gitMinor={minor} "
            f"-X {version}.gitTreeState=clean",
        ),
    ]


def tools() -> list[Module]:
    """Return the modules that no cluster needs: they are built when a test asks for one of their programs."""
    # Without the ways to find targets in a dozen clouds, which only `promtool check` would use.
    promtool = {"promtool": "github.com/prometheus/prometheus/cmd/promtool"}
    return [Module("prometheus", promtool, ("-tags", "remove_all_sd"))]


class Programs:
    """The built programs by name: `programs["etcd"]` is a path."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    def __getitem__(self, name: str) -> str:
        """Return the path of a program."""
        return str(self._folders[name] / name)

    @property
    def folders(self) -> list[str]:
        """Return the folders of all programs, for PATH."""
        return sorted({str(folder) for folder in self._folders.values()})


def locate() -> Programs:
    """Return where the programs are, or would be, without building any."""
    return Programs({name: folder_of(module) for module in modules() for name in module.programs})


def build() -> Programs:
    """Build what a cluster needs and is missing, with a line of progress for each program."""
    _build_missing(modules())
    return locate()


def build_tool(name: str) -> str:
    """Return the path of a program that no cluster needs, and build it if it is missing."""
    module = next(module for module in tools() if name in module.programs)
    _build_missing([module])
    return str(folder_of(module) / name)


def _build_missing(wanted: list[Module]) -> None:
    missing = [module for module in wanted if not complete(module)]
    if missing:
        if not shutil.which("go"):
            raise ClusterError("Go is missing. Install Go 1.26 or later, and put `go` on PATH.")
        with _locked(cache_folder() / "programs.lock"):
            total = sum(len(module.programs) for module in missing)
            say(f"building {total} programs from source, once for this machine (about 8 minutes on 2 cores)")
            done = 0
            for module in missing:
                done = _build_module(module, done, total)


def folder_of(module: Module) -> Path:
    """Return the cache folder of a module's programs: another one for other versions, flags or compilers."""
    parts = [path.read_bytes() for path in sorted(module.folder.iterdir()) if path.is_file()]
    parts += [repr((module.programs, module.flags, module.symbols)).encode(), _go_version()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
    return cache_folder() / "programs" / f"{module.name}-{digest}"


def complete(module: Module) -> bool:
    """Whether every program of the module is in the cache."""
    return all((folder_of(module) / name).exists() for name in module.programs)


def install_packages() -> None:
    """Install the Debian packages that are missing."""
    missing = sorted({package for program, package in DEBIAN.items() if not _present(program)})
    if not missing:
        return
    say(f"installing Debian packages: {' '.join(missing)}")
    log = cache_folder() / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # docker-registry's package starts a service that listens everywhere; policy-rc.d keeps it from doing so.
    with log.open("wb") as out, _no_services():
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing],
        ):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            ended = subprocess.run(command, stdout=out, stderr=out, env=environment, check=False)
            if ended.returncode:
                raise ClusterError(f"`{' '.join(command)}` failed; read {log}")


def _build_module(module: Module, done: int, total: int) -> int:
    if complete(module):  # another checkout built it while we waited for the lock
        return done + len(module.programs)
    target = folder_of(module)
    target.parent.mkdir(parents=True, exist_ok=True)
    log = cache_folder() / f"build-{module.name}.log"
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    for name, package in module.programs.items():
        done += 1
        started = time.monotonic()
        say(f"  {done:2} of {total}  {name} ...", end="")
        if not _go_build(module, package, draft / name, log):
            say(" failed")
            raise ClusterError(f"building {name} failed; read {log}")
        say(f" {time.monotonic() - started:.0f} s")
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    return done


def _go_build(module: Module, package: str, program: Path, log: Path) -> bool:
    """Build one program; what the compiler says goes to the log. Return whether it worked."""
    symbols = f"-s -w {module.symbols}".strip()
    command = ["go", "build", "-trimpath", *module.flags, "-ldflags", symbols, "-o", str(program), package]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        ended = subprocess.run(
            command, cwd=module.folder, stdout=out, stderr=out, env=environment, check=False
        )
    return ended.returncode == 0


@functools.cache
def _go_version() -> bytes:
    """Return the compiler's version; empty without one, when only what is built already can be used."""
    if not shutil.which("go"):
        return b""
    return subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, check=True, cwd=MODULES
    ).stdout.strip()


def _present(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _no_services() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", "utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
