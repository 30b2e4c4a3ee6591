"""The image list."""

from dataclasses import dataclass

from kip.config.notes import Note


@dataclass(frozen=True, slots=True)
class CacheImage:
    """One image to cache: the name of its container (RFC 1123 label, unique) and its reference."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images in the list's order, and what is to be said about its entries."""

    images: tuple[CacheImage, ...]
    notes: tuple[Note, ...]


def read_images(text: str) -> ImageList:
    """Read the list."""
    pairs = (entry.partition("=") for entry in text.split(";") if entry.strip())
    return ImageList(tuple(CacheImage(a.strip(), b.strip()) for a, _, b in pairs), ())
