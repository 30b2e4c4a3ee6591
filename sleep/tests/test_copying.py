"""The sleeper copies itself where it is told, by `sleep --install` and as the shell of its own image."""

import signal
import stat
import subprocess
from pathlib import Path

import pytest

UPSTREAM_COMMAND = "cp /bin/sleep /kip/sleep"  # the one command of every cache pod's init container


@pytest.fixture
def shell(binary):
    """Call the sleeper under the name of a shell."""

    def call(*arguments: str, name: str = "/bin/sh", **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [name, *arguments],
            executable=binary,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            **options,
        )

    return call


@pytest.fixture
def in_empty_root(as_root, empty_root):
    """Run a program of the empty root, which is read-only but for /kip, as a user it does not know."""
    script = (
        'mount --bind "$0" "$0" && mount --bind "$0/kip" "$0/kip" && mount -o remount,ro,bind "$0" && '
        'umask 077 && exec chroot --userspec=1000680000:0 --groups= "$0" "$@"'
    )

    def run_inside(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, str(empty_root), *command],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run_inside


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=["install", "sh"])
def install(request, run, shell, binary):
    """Copy the sleeper to a path, by each of its two ways."""

    def by_option(target: Path, **options) -> subprocess.CompletedProcess:
        return run("--install", str(target), **options)

    def by_shell(target: Path, **options) -> subprocess.CompletedProcess:
        return shell("-c", f"cp {binary} {target}", **options)

    return {"install": by_option, "sh": by_shell}[request.param]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777, 0])
def test_a_copy_runs_and_has_mode_0755_whatever_the_umask(install, run, binary, tmp_path, umask):
    target = tmp_path / "sleep"

    result = install(target, umask=umask)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert mode_of(target) == 0o755
    assert target.read_bytes() == binary.read_bytes()
    assert run("1ms", executable=target).returncode == 0
    assert names_in(tmp_path) == ["sleep"]


def test_a_copy_that_is_running_is_replaced_and_runs_on(install, start, tmp_path):
    target = tmp_path / "sleep"
    install(target)
    before = target.stat().st_ino
    sleeper = start("720h", executable=target)

    result = install(target)

    assert (result.returncode, result.stderr) == (0, "")
    assert target.stat().st_ino != before
    assert sleeper.end(signal.SIGTERM) == 0


def test_a_missing_directory_is_an_error_that_names_the_path(install, tmp_path):
    result = install(tmp_path / "missing/sleep")

    assert result.returncode == 1
    assert result.stderr == f"sleep: cannot create {tmp_path}/missing/sleep: no such file or directory\n"


def test_a_directory_in_the_place_of_the_copy_is_an_error_and_leaves_nothing(
    install, run, shell, binary, tmp_path
):
    (tmp_path / "sleep").mkdir()

    result = install(tmp_path / "sleep")

    assert result.returncode == 1
    assert result.stderr == f"sleep: cannot create {tmp_path}/sleep: is a directory\n"
    assert names_in(tmp_path) == ["sleep"]


def test_a_full_volume_is_an_error_and_leaves_nothing(as_root, binary, tmp_path):
    script = (
        'mount -t tmpfs -o size=4k,nr_inodes=4 none "$1" && "$0" --install "$1/sleep"; echo $?; ls -A "$1"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, str(binary), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)

    assert result.stdout == "1\n"
    assert result.stderr.startswith(f"sleep: cannot write {tmp_path}/sleep")
    assert result.stderr.endswith(": no space left\n")


def test_a_missing_source_is_an_error_that_names_it(shell, tmp_path):
    result = shell("-c", f"cp {tmp_path}/none {tmp_path}/sleep")

    assert result.returncode == 1
    assert result.stderr == f"sleep: cannot read {tmp_path}/none: no such file or directory\n"
    assert names_in(tmp_path) == []


def test_the_init_container_command_works_in_an_image_of_nothing_but_the_sleeper(in_empty_root, empty_root):
    result = in_empty_root("/bin/sh", "-c", UPSTREAM_COMMAND)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert mode_of(empty_root / "kip/sleep") == 0o755
    assert in_empty_root("/kip/sleep", "1ms").returncode == 0


def test_install_works_in_an_image_of_nothing_but_the_sleeper(in_empty_root, empty_root):
    result = in_empty_root("/bin/sleep", "--install", "/kip/sleep")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert mode_of(empty_root / "kip/sleep") == 0o755


def test_a_read_only_volume_is_an_error_that_names_the_path(in_empty_root):
    result = in_empty_root("/bin/sh", "-c", "cp /bin/sleep /bin/other")

    assert result.returncode == 1
    assert result.stderr == "sleep: cannot create /bin/other: read-only file system\n"


@pytest.mark.parametrize("name", ["sh", "/bin/sh", "./sh"])
def test_the_shell_is_known_by_its_name(shell, binary, tmp_path, name):
    result = shell("-c", f"  cp\t{binary}   {tmp_path}/sleep\n", name=name)

    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "sleep").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-c"],
        ["-c", ""],
        ["-c", "true"],
        ["-c", "cp"],
        ["-c", "cp /bin/sleep"],
        ["-c", "cp /bin/sleep /kip/sleep /x"],
        ["-c", "cp -a /bin/sleep /kip/sleep"],
        ["-c", "cp /bin/sleep /kip/sleep && true"],
        ["-c", "cp /bin/sleep /kip/sleep;true"],
        ["-c", "cp '/bin/sleep' /kip/sleep"],
        ["-c", "cp $SLEEP /kip/sleep"],
        ["-c", "cp /bin/s* /kip/sleep"],
        ["-c", "cp /bin/sleep /" + "x" * 5000],
        ["-x", "cp /bin/sleep /kip/sleep"],
        ["-c", "cp /bin/sleep /kip/sleep", "name"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40] or "no arguments",
)
def test_the_shell_refuses_everything_else_and_says_what_it_is(shell, arguments):
    result = shell(*arguments)

    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr.startswith("sh: this is kip's sleeper, not a shell: it knows only ")
