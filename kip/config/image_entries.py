"""The image list cut into entries, in all the ways people write it.

Upstream's way is `name=image;name=image`. Newlines and commas separate too, names may be missing, lines may
be comments, and the whole may be a YAML or JSON list of such entries or of `{name, image}` mappings.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kip.config.diagnostics import Diagnostics, Unreadable
from kip.config.mappings import place
from kip.config.scalars import read_structure
from kip.config.suggestions import did_you_mean

QUOTES = "\"'`"

_COMMENT = re.compile(r"(?:^|(?<=[\s;,]))#.*")
_LOOKS_LIKE_IMAGE = re.compile(r"[^=\s]*[/:@][^=\s]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `key` is its place (`IMAGES[3]`, counted from 1), `name` is empty where none was given."""

    key: str
    text: str
    name: str
    image: str


def read_entries(key: str, text: str, findings: Diagnostics) -> tuple[Entry, ...]:
    """Cut `text` into entries; one that is no `name=image` and no image is noted as refused."""
    pieces = _pieces(key, text.strip(), findings)
    read = (_entry(f"{key}[{number}]", piece, findings) for number, piece in enumerate(pieces, 1))
    return tuple(entry for entry in read if entry)


def _pieces(key: str, text: str, findings: Diagnostics) -> Iterator[Any]:
    """Yield the entries as texts, or as what a structured list holds instead of them."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        findings.note(key, text, "is in quotes, which are left out", "Write it without quotes.")
        text = text[1:-1].strip()
    given = _structure(key, text, findings)
    if isinstance(given, dict) and not {"name", "image"} & given.keys():
        given = [{name: image} for name, image in given.items()]
    if isinstance(given, dict):
        given = [given]
    for item in [text] if given is None else given:
        if isinstance(item, str):
            yield from _text_pieces(key, item, findings)
        else:
            yield item


def _structure(key: str, text: str, findings: Diagnostics) -> list[Any] | dict[str, Any] | None:
    """Return the list or mapping that `text` is in JSON or YAML, None if it is none."""
    if not text.startswith(("[", "{", "- ", "-\n", "#", "name:", "image:")):
        return None
    try:
        found = read_structure(text)
    except Unreadable as fault:
        if not text.startswith("#"):
            findings.note(key, text, f"looks like a YAML or JSON list, but {fault}", fault.hint)
        return None
    return found if isinstance(found, list | dict) else None


def _text_pieces(key: str, text: str, findings: Diagnostics) -> Iterator[str]:
    for line in re.split(r"[\r\n]", text):
        comment = _COMMENT.search(line)
        if comment and line[: comment.start()].strip() and re.search(r"[;,=]", comment[0]):
            message = "is taken for a comment up to the end of its line"
            findings.note(key, comment[0], message, "Put comments on lines of their own.")
        for chunk in re.split("[;,]", line[: comment.start()] if comment else line):
            yield from _words(chunk)


def _words(chunk: str) -> list[str]:
    """Cut at spaces where each word is an entry for itself; elsewhere a space is a slip within one entry."""
    chunk = re.sub(" ?= ?", "=", " ".join(chunk.split()))
    words = chunk.split()
    whole = all("=" in word.strip("=") or _LOOKS_LIKE_IMAGE.fullmatch(word) for word in words)
    return words if whole else [chunk]


def _entry(key: str, piece: Any, findings: Diagnostics) -> Entry | None:
    """Return the entry that `piece` is, or None when there is no telling; that is noted."""
    if isinstance(piece, str):
        return _from_text(key, piece, findings)
    if isinstance(piece, dict):
        return _from_mapping(key, piece, findings)
    findings.note(key, piece, "is no image", "Write an image, or a name and an image.", refused=True)
    return None


def _from_text(key: str, text: str, findings: Diagnostics) -> Entry | None:
    left, sign, right = text.partition("=")
    if "=" in right:
        message, remedy = "has more than one =", "Write name=image, and a ; between two entries."
        findings.note(key, text, message, remedy, refused=True)
        return None
    name, image = (_unquoted(part) for part in ((left, right) if sign else ("", text)))
    if len(name) + len(image) + len(sign) < len(text.strip()):
        findings.note(key, text, "has quotes, which are left out", "Write it without quotes.")
    if not sign and not _LOOKS_LIKE_IMAGE.fullmatch(image) and not any(letter.isspace() for letter in image):
        findings.note(
            key, text, "is a single word and is taken for an image", "Write name=image, or image:tag."
        )
    return Entry(key, text, name, image)


def _from_mapping(key: str, given: dict[str, Any], findings: Diagnostics) -> Entry | None:
    fields = dict(given)
    if len(fields) == 1 and not {"name", "image"} & fields.keys():
        [(name, image)] = fields.items()
        fields = {"name": name, "image": image}
    name, image = ("" if (part := fields.pop(field, None)) is None else part for field in ("name", "image"))
    if not (isinstance(name, str) and isinstance(image, str) and image.strip()):
        findings.note(key, given, "names no image", 'Write {"name": "...", "image": "..."}.', refused=True)
        return None
    for extra in fields:
        remedy = did_you_mean(extra, ["name"] if not name else [], "Write a name and an image only.")
        findings.note(place(key, extra), fields[extra], "is no field of an image and is not used", remedy)
    return Entry(key, f"{name}={image}" if name else image, _unquoted(name), _unquoted(image))


def _unquoted(text: str) -> str:
    return text.strip().strip(QUOTES).strip()
