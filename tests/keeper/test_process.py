"""The keeper as a process: how it ends when the API server is in trouble."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from wire import Answer, serving, status_of


def kubeconfig(folder: Path, url: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config), "utf-8")
    return str(path)


def ended(folder: Path, *answers: Answer, **values: str) -> tuple[int, str]:
    """Start a keeper, send SIGTERM once it has asked for something, and return its exit code and log."""
    asked = threading.Event()
    with serving(*answers) as (server, url):
        take = server.take
        server.take = lambda request: (asked.set(), take(request))[1]
        environment = {
            "KUBECONFIG": kubeconfig(folder, url),
            "NAMESPACE": "images",
            "IMAGES": "a=x:1.0.0",
            **values,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "kip", "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        assert asked.wait(20)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=5)
    return process.returncode, out


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([Answer(hang=True)] * 20, id="silence"),
        pytest.param([status_of(503)] * 50, id="trouble"),
        pytest.param([Answer(drop=True)] * 50, id="dropped connections"),
    ],
)
def test_sigterm_ends_it_within_5_seconds(tmp_path, answers):
    code, out = ended(tmp_path, *answers, DEPLOYMENT_NAME="kubernetes-image-puller")
    assert (code, "keeper_stopping" in out) == (0, True), out


def test_the_token_is_not_logged(tmp_path):
    _, out = ended(tmp_path, *[status_of(503)] * 50, LOG_LEVEL="debug")
    assert "secret-token" not in out


def test_every_line_is_json(tmp_path):
    _, out = ended(tmp_path, *[status_of(503)] * 50)
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events[0] == "keeper_started"


AS_FIRST_PROCESS = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

STARTING = """
import signal, sys
import kip.__main__ as program

class Signalled:
    "Sends itself the signal before the command's first import."
    def find_spec(self, name, path=None, target=None):
        if name == "kip.cli.main":
            signal.raise_signal(int(sys.argv.pop()))

sys.meta_path.insert(0, Signalled())
program.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("before", [[], AS_FIRST_PROCESS], ids=["a process", "the first of a container"])
def test_a_signal_ends_it_also_while_it_starts(before, number):
    if before and os.geteuid() != 0:
        pytest.skip("a namespace of processes needs root")
    process = subprocess.run(
        [*before, sys.executable, "-c", STARTING, "run", str(int(number))],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"NAMESPACE": "images"},
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
