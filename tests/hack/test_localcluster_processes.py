"""hack/cluster: which processes are its own, and that no others are touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from localcluster.layout import ClusterError, Layout
from localcluster.process import Processes, end, mentioning, start_time

# Programs in the background outlive the object that started them, which Python warns of.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

WAIT = "import time; time.sleep(60)"


@pytest.fixture
def processes(tmp_path):
    made = Processes(Layout(tmp_path))
    yield made
    for name in made.names():
        made.stop(name, number=signal.SIGKILL)


@pytest.fixture
def begin(tmp_path):
    """Start a process that looks like a program with these arguments."""
    begun = []

    def start(name: str, *arguments: str) -> int:
        program = tmp_path / "programs" / name
        # A Python that is given the program's name.
        command = ["bash", "-c", 'exec -a "$0" "$@"', str(program), sys.executable, "-c", WAIT, *arguments]
        begun.append(subprocess.Popen(command))
        deadline = time.monotonic() + 5
        while Path(f"/proc/{begun[-1].pid}/cmdline").read_bytes().split(b"\0")[0] != str(program).encode():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return begun[-1].pid

    yield start
    for process in begun:
        process.kill()
        process.wait()


def test_programs_are_known_by_name_and_path(begin, tmp_path):
    folder = tmp_path / ".cluster"
    ours = {
        begin("etcd", f"--data-dir={folder}/etcd"),
        begin("containerd", "--config", f"{folder}/containerd.toml"),
    }
    assert set(mentioning(folder)) == ours


@pytest.mark.parametrize(
    ("program", "argument"),
    [
        ("vim", "{}/state.json"),  # somebody looks at a file
        ("kubectl", "--kubeconfig={}/pki/admin.kubeconfig"),  # somebody watches pods
        ("etcd", "--data-dir={}-of-another/etcd"),  # a neighbour whose name begins alike
        ("etcd", "--data-dir=/elsewhere/etcd"),  # one of this machine's own
        ("tail", "{}/logs/etcd.log"),
    ],
)
def test_foreign_processes_are_none_of_ours(begin, tmp_path, program, argument):
    folder = tmp_path / ".cluster"
    begin(program, argument.format(folder))
    assert list(mentioning(folder)) == []


def test_running_program_is_kept(processes):
    command = [sys.executable, "-c", WAIT]
    assert processes.ensure("etcd", command)
    pid = processes.pid("etcd")
    assert not processes.ensure("etcd", command)
    assert processes.pid("etcd") == pid


def test_program_starts_again_when_its_command_or_a_file_of_it_changes(processes, tmp_path):
    config = tmp_path / "config"
    config.write_text("1", "utf-8")
    command = [sys.executable, "-c", WAIT]
    assert processes.ensure("registry", command, files=[config])
    first = processes.pid("registry")
    config.write_text("2", "utf-8")
    assert processes.ensure("registry", command, files=[config])
    assert processes.pid("registry") != first
    assert start_time(first) == 0
    assert processes.ensure("registry", [*command, "more"], files=[config])


def test_program_that_died_is_started_again(processes):
    command = [sys.executable, "-c", WAIT]
    processes.ensure("scheduler", command)
    end([processes.pid("scheduler")], signal.SIGKILL)
    assert processes.pid("scheduler") == 0
    assert processes.ensure("scheduler", command)
    assert processes.alive("scheduler")


def test_process_that_took_over_the_id_is_left_alone(processes, tmp_path):
    processes.ensure("etcd", [sys.executable, "-c", WAIT])
    record = tmp_path / ".cluster/processes/etcd.json"
    text = record.read_text("utf-8")
    pid = processes.pid("etcd")
    record.write_text(text.replace(f'"started": {start_time(pid)}', '"started": 1'), "utf-8")
    processes.stop("etcd")
    assert start_time(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_program_that_ends_names_its_log(processes):
    processes.ensure("etcd", [sys.executable, "-c", "print('no space')"])
    with pytest.raises(ClusterError, match=r"etcd ended; read .*/logs/etcd\.log"):
        processes.wait("etcd", lambda: False, "etcd did not answer")
    assert processes.log("etcd").read_text("utf-8") == "no space\n"


def test_program_that_is_not_ready_in_time_names_its_log(processes):
    processes.ensure("etcd", [sys.executable, "-c", WAIT])
    with pytest.raises(ClusterError, match=r"did not answer not within 0 s; read .*etcd\.log"):
        processes.wait("etcd", lambda: False, "etcd did not answer", seconds=0)


def test_deaf_process_is_killed(processes):
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); {WAIT}"
    processes.ensure("etcd", [sys.executable, "-c", deaf])
    processes.wait("etcd", lambda: processes.log("etcd").read_text("utf-8"), "it did not begin")
    end([processes.pid("etcd")], seconds=0.2)
    assert not processes.alive("etcd")
