"""Running the command line in this process, with an environment of its own."""

from contextlib import nullcontext

import pytest
import structlog
from fakes import FakeCluster

from kip.cli import main as command_line


@pytest.fixture
def kip(monkeypatch, capsys):
    """Run `kip ARGUMENTS` with these environment variables; give exit code, output and error output."""

    def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
        monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin", **environment})
        with pytest.raises(SystemExit) as ended:
            command_line.main(arguments)
        structlog.reset_defaults()  # what it has set up ends with its output
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


@pytest.fixture
def cluster(monkeypatch):
    """Let the commands find this cluster instead of a real one."""

    def use(*objects: dict, **options) -> FakeCluster:
        found = FakeCluster(*objects, **options)
        monkeypatch.setattr("kip.cli.plan.connect", lambda *_: found)
        monkeypatch.setattr("kip.cli.status.connect", lambda *_: found)
        monkeypatch.setattr("kip.cli.wait.connect", lambda *_: found)
        monkeypatch.setattr("kip.cli.wait.pauses", lambda *_: nullcontext(lambda _least, _most: None))
        monkeypatch.setattr("kip.cli.check.connect", lambda *_: found)
        return found

    return use
