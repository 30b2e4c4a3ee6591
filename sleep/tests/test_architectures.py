"""The sleeper of every architecture: its file, and the program itself where qemu-user-static is installed."""

import shutil
import struct
import subprocess

import pytest

MACHINE = {"amd64": 62, "arm64": 183, "ppc64le": 21, "s390x": 22}  # ELF's e_machine
QEMU = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}
EMULATED = [name for name, machine in QEMU.items() if shutil.which(f"qemu-{machine}-static")]
PROGRAM_INTERPRETER = 3
PROGRAM_DYNAMIC = 2


def read_elf(path):
    """Give the machine and the types of the program headers of a 64-bit ELF file."""
    data = path.read_bytes()
    assert data[:5] == b"\x7fELF\x02"
    order = {1: "<", 2: ">"}[data[5]]
    machine = struct.unpack_from(order + "H", data, 18)[0]
    (table,) = struct.unpack_from(order + "Q", data, 32)
    size, count = struct.unpack_from(order + "HH", data, 54)
    return machine, {struct.unpack_from(order + "I", data, table + index * size)[0] for index in range(count)}


@pytest.fixture
def emulate(binaries):
    def run(architecture, *arguments, name="sleep"):
        command = [f"qemu-{QEMU[architecture]}-static", "-0", name, str(binaries[architecture]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    return run


@pytest.mark.parametrize("architecture", MACHINE)
def test_the_file_is_of_its_architecture_and_needs_no_loader(binaries, architecture):
    machine, headers = read_elf(binaries[architecture])

    assert machine == MACHINE[architecture]
    assert headers.isdisjoint({PROGRAM_INTERPRETER, PROGRAM_DYNAMIC})


@pytest.mark.parametrize("architecture", MACHINE)
def test_the_file_has_at_most_16_kilobytes(binaries, architecture):
    assert binaries[architecture].stat().st_size <= 16_000


@pytest.mark.parametrize("architecture", EMULATED)
@pytest.mark.parametrize(
    ("duration", "code"),
    [
        ("1ms", 0),
        (".5ms0.3us", 0),
        ("1µs", 0),
        ("-1h", 0),
        ("0", 0),
        ("10d", 255),
        ("", 255),
        ("2562048h", 255),
    ],
)
def test_durations_on_every_architecture(emulate, architecture, duration, code):
    assert emulate(architecture, duration).returncode == code


@pytest.mark.parametrize("architecture", EMULATED)
def test_copying_on_every_architecture(emulate, binaries, architecture, tmp_path):
    source, target = binaries[architecture], tmp_path / "sleep"

    result = emulate(architecture, "-c", f"cp {source} {target}", name="sh")

    assert (result.returncode, result.stderr) == (0, "")
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("architecture", EMULATED)
def test_errors_are_told_on_every_architecture(emulate, architecture, tmp_path):
    result = emulate(architecture, "--install", f"{tmp_path}/missing/sleep")

    assert result.returncode == 1
    assert result.stderr == f"sleep: cannot create {tmp_path}/missing/sleep: no such file or directory\n"
