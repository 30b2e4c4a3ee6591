"""The image list: which containers the cache pod has, in which order and under which names."""

import re
from dataclasses import dataclass, replace
from itertools import chain, count

from kip.config.diagnostics import Diagnostics
from kip.config.image_entries import Entry, read_entries
from kip.config.names import label_fault, mend_label, with_suffix
from kip.config.notes import Note
from kip.config.references import Reference, ReferenceProblem, parse_reference

KEY = "IMAGES"

INIT_CONTAINER = "copy-sleep"
"""Taken by the cache pod's init container; names are unique among both kinds."""

_NUMBER = re.compile(r"\[([0-9]+)\]")
_LAST_RESORT = "image"
_SHOWN_OF_DIGEST = 8


@dataclass(frozen=True, slots=True)
class CacheImage:
    """One image: the name of its container (RFC 1123 label, unique) and its reference as given."""

    name: str
    image: str

    def __str__(self) -> str:
        return f"{self.name}={self.image}"


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images in the list's order, and what is to be said about its entries."""

    images: tuple[CacheImage, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class _Image:
    """An entry whose reference is valid."""

    entry: Entry
    reference: Reference

    @property
    def meaning(self) -> str:
        """The reference as a node reads it: `busybox` is `docker.io/library/busybox:latest`."""
        named = self.reference.tag or self.reference.digest
        return str(self.reference if named else replace(self.reference, tag="latest"))


def read_images(text: str) -> ImageList:
    """Read the list in any of the forms of `kip.config.image_entries`. Never raises.

    A name that is a valid label stays as it is, for its first entry. A name that is not is mended; without
    one it is the last part of the image's path. A name already taken gets a suffix: the image's tag where it
    was derived, else a number. Every entry that is mended, renamed or left out has a note.
    """
    findings = Diagnostics()
    images = [image for entry in read_entries(KEY, text, findings) if (image := _image(entry, findings))]
    images = _without_repetitions(images, findings)
    names = _names(images, findings)
    _note_same_images(images, findings)
    kept = tuple(CacheImage(names[image.entry.key], image.entry.image) for image in images)
    return ImageList(kept, _in_order(findings.notes))


def _image(entry: Entry, findings: Diagnostics) -> _Image | None:
    try:
        return _Image(entry, parse_reference(entry.image))
    except ReferenceProblem as problem:
        findings.note(entry.key, entry.text, str(problem), problem.hint, refused=True)
        return None


def _without_repetitions(images: list[_Image], findings: Diagnostics) -> list[_Image]:
    """Keep an image once under one name; one without a name adds nothing to the same image before it."""
    kept: list[_Image] = []
    seen: dict[tuple[str, str], str] = {}
    for image in images:
        entry = image.entry
        first = seen.get((entry.name, image.meaning))
        if first:
            findings.note(
                entry.key, entry.text, f"repeats {first} and is kept once", "Remove one of the two."
            )
            continue
        seen[entry.name, image.meaning] = entry.key
        seen.setdefault(("", image.meaning), entry.key)
        kept.append(image)
    return kept


def _names(images: list[_Image], findings: Diagnostics) -> dict[str, str]:
    """Return the container name of each entry by its key.

    Names that are fine as given go first, so that no other entry can take them; then those to be mended, then
    those to be derived.
    """
    taken = {INIT_CONTAINER}
    names: dict[str, str] = {}
    for image in images:
        name = image.entry.name
        if not label_fault(name) and name not in taken:
            names[image.entry.key] = name
            taken.add(name)
    named = (image for image in images if image.entry.name)
    unnamed = (image for image in images if not image.entry.name)
    for image in chain(named, unnamed):
        if image.entry.key not in names:
            name = _free_name(image, taken)
            names[image.entry.key] = name
            taken.add(name)
            _note_name(image.entry, name, findings)
    return names


def _free_name(image: _Image, taken: set[str]) -> str:
    given, reference = image.entry.name, image.reference
    name = mend_label(given) or mend_label(reference.path.rpartition("/")[2]) or _LAST_RESORT
    if name not in taken:
        return name
    version = mend_label(reference.tag or reference.digest.partition(":")[2][:_SHOWN_OF_DIGEST])
    if not given and version and with_suffix(name, version) not in taken:
        return with_suffix(name, version)
    return next(free for number in count(2) if (free := with_suffix(name, str(number))) not in taken)


def _note_name(entry: Entry, name: str, findings: Diagnostics) -> None:
    if not entry.name:
        return  # to leave the name out is a way to write the list, not a mistake
    if entry.name == INIT_CONTAINER:
        message = "has the name of the cache pod's init container"
    elif fault := label_fault(entry.name):
        message = f"has a name that {fault}"
    else:
        message = "has a name that another entry has"
    findings.note(entry.key, entry.text, f"{message}; it is called {name}", "Write another name.")


def _in_order(notes: list[Note]) -> tuple[Note, ...]:
    """Return the notes in the list's order, for a refused entry only why it was refused."""
    refused = {note.key for note in notes if note.refused}
    told = (note for note in notes if note.refused or note.key not in refused)
    return tuple(sorted(told, key=_position))


def _position(note: Note) -> int:
    """Return the number of the entry that a note is about; 0 for the whole list."""
    number = _NUMBER.search(note.key)
    return int(number[1]) if number else 0


def _note_same_images(images: list[_Image], findings: Diagnostics) -> None:
    first: dict[str, str] = {}
    for image in images:
        entry = image.entry
        if image.meaning in first:
            message = f"is the same image as {first[image.meaning]} under another name; a node needs it once"
            findings.note(entry.key, entry.text, message, "Remove one of the two.")
        first.setdefault(image.meaning, entry.key)
