"""Wrong use, help and version; where and as whom the sleeper runs; what it costs."""

import signal
import subprocess
from pathlib import Path

import pytest

ARBITRARY = {"user": 1000680000, "group": 0, "extra_groups": []}  # as OpenShift hands them out


@pytest.mark.parametrize(
    "arguments",
    [[], ["1s", "2s"], ["--install"], ["--install", "a", "b"], ["--version", "x"], ["-h", "1s"]],
    ids=" ".join,
)
def test_a_wrong_number_of_arguments_prints_the_usage_and_exits_255(run, arguments):
    result = run(*arguments)

    assert (result.returncode, result.stdout) == (255, "")
    assert "Usage: sleep DURATION" in result.stderr


def test_help_prints_the_usage(run):
    result = run("--help")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: sleep DURATION")
    assert "--install PATH" in result.stdout


def test_version_names_the_project_and_its_version(run):
    source = (Path(__file__).parents[2] / "kip/__init__.py").read_text()
    version = source.split('__version__ = "')[1].split('"')[0]

    result = run("--version")

    assert (result.returncode, result.stdout, result.stderr) == (0, f"kip sleep {version}\n", "")


def test_it_sleeps_as_an_arbitrary_user(as_root, start, open_path, binary):
    copy = open_path / "sleep"
    copy.write_bytes(binary.read_bytes())
    copy.chmod(0o755)
    sleeper = start("720h", executable=copy, cwd="/", **ARBITRARY)

    assert sleeper.end(signal.SIGTERM) == 0


def test_it_sleeps_alone_in_a_read_only_root_without_proc(as_root, empty_root):
    script = (
        'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && '
        'exec chroot --userspec=65532:65532 "$0" "$@"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, str(empty_root), "/bin/sleep", "1ms"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_it_sleeps_with_every_stream_closed_and_no_environment(binary):
    command = ["sh", "-c", 'exec env -i "$0" 1ms <&- >&- 2>&-', str(binary)]

    assert subprocess.run(command, timeout=20, check=False).returncode == 0


def test_it_fits_in_48_kilobytes_of_memory(start):
    sleeper = start("720h")

    assert sleeper.status_kilobytes("VmHWM") <= 48
    assert sleeper.status_kilobytes("VmRSS") <= 48
