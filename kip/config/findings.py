"""What reading the settings brings to light: problems, which stop it, and notes, which do not."""

import json

from kip.config.notes import Note
from kip.errors import KipError, Problem

LONGEST_SHOWN = 100
"""Characters of a value that a message shows; the rest of a long list helps nobody."""


class Unreadable(KipError, ValueError):
    """One value cannot be read. The message says why, `hint` what to write instead."""

    exit_code = 2


class Findings:
    """Collects the problems and notes of one reading, so that all of them can be told at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[Note] = []

    def problem(self, key: str, value: object, message: str, remedy: str) -> None:
        """Say that the setting cannot be used. `message` has no final stop, `remedy` is a whole sentence."""
        self.problems.append(Problem(key, show(value), message, remedy))

    def note(self, key: str, value: object, message: str, remedy: str, *, refused: bool = False) -> None:
        """Remark on a setting that is used; `refused`: without the entry `key`."""
        self.notes.append(Note(key, show(value), message, remedy, refused))


def show(value: object) -> str:
    """Return `value` as people wrote it, on one line, shortened where it is long.

    >>> show({"a": True})
    '{"a": true}'
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split()) if "\n" in text else text
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
