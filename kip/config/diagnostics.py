"""What reading the settings brings to light: problems, which stop it, and notes, which do not."""

import json

from kip.config.notes import Note
from kip.errors import KipError, Problem
from kip.redact import redacted, secrets_in

LONGEST_SHOWN = 100
"""Characters of a value that a message shows; the rest of a long list helps nobody."""


SECRETIVE = "cannot be used, and seems to hold a password or a token"
SECRETS_GO = (
    "Put that into a Secret of type kubernetes.io/dockerconfigjson, and its name into IMAGE_PULL_SECRETS."
)


class Unreadable(KipError, ValueError):
    """One value cannot be read. The message says why, `hint` what to write instead."""

    exit_code = 2


class Diagnostics:
    """Collects the problems and notes of one reading, so that all of them can be told at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._secrets: list[str] = []

    def problem(self, key: str, value: object, message: str, remedy: str) -> None:
        """Say that the setting cannot be used. `message` has no final stop, `remedy` is a whole sentence."""
        self.problems.append(Problem(key, *self._safe(show(value), message, remedy)))

    def note(self, key: str, value: object, message: str, remedy: str, *, refused: bool = False) -> None:
        """Remark on a setting that is used; `refused`: without the entry `key`."""
        self.notes.append(Note(key, *self._safe(show(value), message, remedy), refused))

    def reading(self, text: str) -> None:
        """Say which text is being read: what is told of it may quote parts of it, or be made of them."""
        self._secrets = [secret.lower() for secret in secrets_in(text)]

    def _safe(self, value: str, message: str, remedy: str) -> tuple[str, str, str]:
        told = f"{value} {message} {remedy}".lower()
        if any(secret in told for secret in self._secrets):
            return "***", SECRETIVE, SECRETS_GO
        return value, message, remedy


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def show(value: object) -> str:
    """Return `value` as people wrote it, on one line, shortened where it is long, and without passwords.

    >>> show({"a": True})
    '{"a": true}'
    """
    text = _text(value)
    text = " ".join(text.split()) if "\n" in text else text
    text = redacted(text.encode("utf-8", "replace").decode())
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
