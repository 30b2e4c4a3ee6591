"""Help that teaches."""

import tomllib
from pathlib import Path

import pytest

from kip import __version__, errors
from kip.cli.main import COMMANDS, EPILOG


def test_every_command_is_listed_with_a_sentence(kip):
    _, out, _ = kip("--help")
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(kip, name):
    code, out, _ = kip(name, "--help")
    assert (code, out.startswith(f"Usage: kip {name}")) == (0, True)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "version"])
def test_the_help_of_a_command_has_examples_or_exit_codes(kip, name):
    _, out, _ = kip(name, "--help")
    assert "Examples:" in out or "Exit code" in out


def test_the_examples_stand_one_to_a_line(kip):
    _, out, _ = kip("render", "--help")
    assert "    kip render --env-file kip.env -o json\n" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_no_marks_of_the_formatter(kip, name):
    _, out, _ = kip(name, "--help")
    assert ("\b" in out, "\\b" in out) == (False, False)


def test_an_unknown_command_is_exit_code_2(kip):
    code, _, err = kip("staus")
    assert (code, "staus" in err) == (2, True)


def test_every_exit_code_of_an_error_is_documented():
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KipError)
    ]
    codes = {kind.exit_code for kind in kinds}
    assert {f"  {code}  " in EPILOG for code in codes} == {True}


def test_the_version_is_the_packages(kip):
    assert kip("version")[1] == f"kip {__version__}\n"


def test_kubectl_finds_the_command_as_a_plugin():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    scripts = project["scripts"]
    assert scripts["kubectl-kip"] == scripts["kip"]
