"""Programs in the background: started, found again, restarted when their command changes, ended.

A process counts as ours only if its id and its start time are those that were recorded, or if it is known by
what only a process of this cluster has (its name and a path on its command line, its cgroup). Nothing else is
ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from localcluster.layout import ClusterError, Layout

PROGRAMS = frozenset(
    {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "docker-registry", "kwok"}
    | {"containerd", "containerd-shim-runc-v2", "runc", "kubelet"}
)
"""The names of all programs that a cluster starts, or that those start."""

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


class Processes:
    """The background processes of one cluster, by name."""

    def __init__(self, layout: Layout) -> None:
        self._records = layout.state_folder / "processes"
        self._logs = layout.logs

    def ensure(self, name: str, command: list[str], *, files: Iterable[Path] = (), path: str = "") -> bool:
        """Start the program unless it runs with this command and these files' contents.

        Return whether it was started.
        """
        wanted = {"command": command, "files": [file.read_text("utf-8") for file in files]}
        record = self._read(name)
        if record and record["wanted"] == wanted and self.alive(name):
            return False
        self.stop(name)
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
        for key in ("KUBECONFIG", "NOTIFY_SOCKET"):
            environment.pop(key, None)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        record = {"pid": process.pid, "started": start_time(process.pid), "wanted": wanted}
        (self._records / f"{name}.json").write_text(json.dumps(record), "utf-8")
        return True

    def alive(self, name: str) -> bool:
        """Whether the recorded process still is that process, and runs."""
        record = self._read(name)
        return bool(record) and start_time(record["pid"]) == record["started"]

    def pid(self, name: str) -> int:
        """Return the id of the running process, 0 if it does not run."""
        return self._read(name)["pid"] if self.alive(name) else 0

    def stop(self, name: str, *, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process and forget it; with patience first, then without."""
        if self.alive(name):
            end([self.pid(name)], number)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all recorded processes, in the order of their start."""
        records = sorted(self._records.glob("*.json"), key=lambda path: path.stat().st_mtime)
        return [path.stem for path in records]

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self._logs / f"{name}.log"

    def wait(
        self, name: str, ready: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until `ready`; a process that ended, or time that ran out, is an error that names the log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive(name):
                raise ClusterError(f"{name} ended; read {self.log(name)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{what} not within {seconds:.0f} s; read {self.log(name)}")
            time.sleep(POLL_SECONDS)

    def _read(self, name: str) -> dict | None:
        try:
            return json.loads((self._records / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None


def start_time(pid: int) -> int:
    """Return when the process started, in the kernel's ticks; 0 when there is none, or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def mentioning(folder: Path) -> Iterator[int]:
    """Yield the ids of a cluster's programs whose command line names something under `folder`.

    Programs of other names are not ours, as somebody's editor or `kubectl get --watch` is not.
    """
    needle = f"{folder}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if _ours(words[0]) and any(word.startswith(needle) or b"=" + needle in word for word in words):
                yield int(entry.name)


def _ours(program: bytes) -> bool:
    return program.rpartition(b"/")[2].decode(errors="replace") in PROGRAMS


def end(pids: Iterable[int], number: signal.Signals = signal.SIGTERM, *, seconds: float = 10.0) -> None:
    """Signal the processes and wait until they are gone; those that stay are killed."""
    started = {pid: start_time(pid) for pid in pids}
    for sign, patience in ((number, seconds), (signal.SIGKILL, seconds)):
        alive = [pid for pid, moment in started.items() if moment and start_time(pid) == moment]
        for pid in alive:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while any(moment and start_time(pid) == moment for pid, moment in started.items()):
            _reap()
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)


def _reap() -> None:
    """Collect children of ours that ended, so that they do not look alive."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
