"""The sleeper built by its Makefile, and ways to look at one that runs."""

import os
import platform
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent
ARCHITECTURES = ("amd64", "arm64", "ppc64le", "s390x")
NATIVE = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}[platform.machine()]
WAIT_CALL = {"amd64": 128, "arm64": 137, "ppc64le": 176, "s390x": 177}[NATIVE]
PATIENCE = 20.0


class Sleeper:
    """A running sleeper."""

    def __init__(self, process: subprocess.Popen, pid: int) -> None:
        self.process = process
        self.pid = pid

    def wait_until_asleep(self) -> "Sleeper":
        """Return once the sleeper waits, and so is ready for signals."""
        deadline = time.monotonic() + PATIENCE
        while self._system_call()[0] != WAIT_CALL:
            assert self.process.poll() is None, f"the sleeper ended with {self.process.returncode}"
            assert time.monotonic() < deadline, "the sleeper did not begin to wait"
            os.sched_yield()
        return self

    def planned_nanoseconds(self) -> int:
        """Read from the memory of the sleeper how long it told the kernel to wait."""
        address = self._system_call()[3]
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            seconds, nanoseconds = struct.unpack("=qq", memory.read(16))
        return seconds * 10**9 + nanoseconds

    def end(self, signal: int) -> int:
        """Send the signal and give the exit code."""
        os.kill(self.pid, signal)
        return self.process.wait(PATIENCE)

    def children(self) -> list[int]:
        """List the children of the sleeper, dead ones that it did not bury included."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def status_kilobytes(self, key: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))

    def _system_call(self) -> list[int]:
        try:
            words = Path(f"/proc/{self.pid}/syscall").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return [-1]
        return [int(word, 0) for word in words] if len(words) > 2 else [-1]  # "running" has no numbers


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """Build the sleeper of every architecture."""
    subprocess.run(["make", "-C", str(SOURCES)], check=True, stdout=subprocess.DEVNULL)
    return {name: SOURCES.parent / "build/sleep" / name / "sleep" for name in ARCHITECTURES}


@pytest.fixture(scope="session")
def binary(binaries) -> Path:
    """Give the sleeper that this machine runs."""
    return binaries[NATIVE]


@pytest.fixture
def run(binary):
    """Run the sleeper to its end."""

    def run_to_the_end(*arguments: str, **options) -> subprocess.CompletedProcess:
        options.setdefault("executable", binary)
        return subprocess.run(
            ["sleep", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
        )

    return run_to_the_end


@pytest.fixture
def start(binary):
    """Start the sleeper and come back when it waits; whatever still runs after the test is ended."""
    started = []

    def start_and_wait(*arguments: str, **options) -> Sleeper:
        options.setdefault("executable", binary)
        process = subprocess.Popen(["sleep", *arguments], **options)
        started.append(process)
        return Sleeper(process, process.pid).wait_until_asleep()

    yield start_and_wait
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def start_as_process_1(as_root, binary):
    """Start the sleeper as process 1 of a process namespace; unshare, outside, passes its exit code on."""
    started = []

    def start_and_wait(*arguments: str, **options) -> Sleeper:
        command = ["unshare", "--pid", "--fork", "--kill-child", str(binary), *arguments]
        process = subprocess.Popen(command, **options)
        started.append(process)
        return Sleeper(process, _only_child(process)).wait_until_asleep()

    yield start_and_wait
    for process in started:
        process.kill()
        process.wait()


def _only_child(process: subprocess.Popen) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while not (text := children.read_text()):
        assert time.monotonic() < deadline, "no child was started"
        os.sched_yield()
    return int(text)


@pytest.fixture
def as_root() -> None:
    """Say plainly that a test of users, mounts or process namespaces needs root."""
    assert os.geteuid() == 0, "this test must be run as root: it makes namespaces and changes users"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Give an empty directory that every user reaches: pytest's own are inside one of mode 0700."""
    with tempfile.TemporaryDirectory(prefix="kip-sleep-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@pytest.fixture
def empty_root(open_path, binary) -> Path:
    """Make a root file system of nothing but the sleeper, as /bin/sleep and /bin/sh, and a volume /kip."""
    root = open_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "kip").mkdir(mode=0o755)
    (root / "kip").chmod(0o777)
    (root / "bin/sleep").write_bytes(binary.read_bytes())
    (root / "bin/sleep").chmod(0o755)
    (root / "bin/sh").symlink_to("sleep")
    return root
