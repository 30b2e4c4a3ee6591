"""A record as a short text, which fits into an object of Kubernetes: gzipped JSON in base64.

5,000 nodes take about 60 kB of the 1 MiB that a ConfigMap holds, and even 255 images of which each node got
some others fit. What is known of single pulls (digest, time, bytes) is not kept: that would not. Faults are
kept once each, shortened, and sets of images as the bits of a number.
"""

import base64
import binascii
import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kip.errors import KipError
from kip.pulljob.pod_view import PullFailure
from kip.pulljob.record import NodeRecord, Record

FORM = 1
LARGEST_BYTES = 16 * 2**20
LONGEST_MESSAGE = 300
MOST_FAULTS = 500
"""Different faults that are kept; of more, only the reasons are."""


class RecordUnreadable(KipError):
    """A text is no record of a job; the job can only begin again."""


def to_text(record: Record) -> str:
    """Return the record as ASCII text."""
    faults = _Faults()
    nodes = {name: _packed(one, faults) for name, one in record.nodes.items()}
    document = {
        "form": FORM,
        "images": record.images,
        "started": _seconds(record.started),
        "finished": _seconds(record.finished),
        "outcome": record.outcome,
        "faults": list(faults.places),
        "usual": faults.usual,
        "nodes": nodes,
        "digests": {number: list(found) for number, found in record.digests.items()},
    }
    raw = json.dumps(document, separators=(",", ":")).encode()
    # Without a time in it: the same record is the same text.
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def _unzipped(data: bytes) -> bytes:
    """Return what is in there, if it is no more than a record can be: anybody may have written it."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    found = unzip.decompress(data, LARGEST_BYTES)
    if unzip.unconsumed_tail or not unzip.eof:
        raise RecordUnreadable("a pull job's record is cut off, or larger than any that kip writes")
    return found


def from_text(text: str) -> Record:
    """Read what `to_text` wrote. Raise RecordUnreadable."""
    try:
        found = json.loads(_unzipped(base64.b64decode(text, validate=True)))
        if found["form"] != FORM:
            raise RecordUnreadable(f"a pull job's record has form {found['form']}, which is not known")
        images = tuple(map(str, found["images"]))
        faults = [PullFailure(str(reason), str(message)) for reason, message in found["faults"]]
        usual = {int(number): faults[place] for number, place in found["usual"].items()}
        return Record(
            images,
            datetime.fromtimestamp(found["started"], UTC),
            _time(found["finished"]),
            str(found["outcome"]),
            {name: _unpacked(packed, len(images), faults, usual) for name, packed in found["nodes"].items()},
            {_place(number, len(images)): tuple(map(str, some)) for number, some in found["digests"].items()},
        )
    except (
        binascii.Error,
        OSError,
        EOFError,
        zlib.error,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise RecordUnreadable(f"no record of a pull job: {error}") from error


@dataclass(slots=True)
class _Faults:
    """The faults of a record, by their places in its list, and what each image mostly fails of: the first."""

    places: dict[tuple[str, str], int] = field(default_factory=dict)
    usual: dict[int, int] = field(default_factory=dict)

    def place(self, fault: PullFailure) -> int:
        """Return the place of a fault."""
        key = (fault.reason, fault.message[:LONGEST_MESSAGE])
        if key not in self.places and len(self.places) >= MOST_FAULTS:
            key = (fault.reason, "")
        return self.places.setdefault(key, len(self.places))


def _packed(one: NodeRecord, faults: _Faults) -> list[Any]:
    told, tries, others = 0, defaultdict[int, int](int), defaultdict[int, int](int)
    for number, fault in one.faults.items():
        if not one.pulled >> number & 1:
            told |= 1 << number
            place = faults.place(fault)
            if faults.usual.setdefault(number, place) != place:
                others[place] |= 1 << number
    for number, count in one.tries.items():
        tries[count] |= 1 << number
    return [
        one.started,
        one.closed,
        one.lost,
        f"{one.pulled:x}",
        f"{one.failed:x}",
        _seconds(one.retry_at),
        _seconds(one.since),
        _masks(tries),
        "" if told == one.failed else f"{told:x}",
        _masks(others),
    ]


def _masks(sets: Mapping[int, int]) -> dict[int, str]:
    return {key: f"{bits:x}" for key, bits in sets.items()}


def _numbers(masks: Mapping[str, str], images: int) -> Iterator[tuple[int, int]]:
    """Yield each image and the number that it goes with."""
    for key, text in masks.items():
        yield from ((number, int(key)) for number in _places(_bits(text, images)))


def _places(bits: int) -> Iterator[int]:
    return (number for number in range(bits.bit_length()) if bits >> number & 1)


def _bits(text: str, images: int) -> int:
    bits = int(text, 16)
    if not 0 <= bits < 1 << images:
        raise ValueError(f"{text[:99]} is no set of {images} images")
    return bits


def _place(text: str, images: int) -> int:
    if int(text) not in range(images):
        raise ValueError(f"{text[:99]} is none of {images} images")
    return int(text)


def _unpacked(
    packed: list[Any], images: int, faults: list[PullFailure], usual: Mapping[int, PullFailure]
) -> NodeRecord:
    started, closed, lost, pulled, failed, retry_at, since, tries, told, others = packed
    known = {number: usual[number] for number in _places(_bits(told or failed, images))}
    return NodeRecord(
        int(started),
        int(closed),
        int(lost),
        _bits(pulled, images),
        _bits(failed, images),
        _time(retry_at),
        _time(since),
        dict(_numbers(tries, images)),
        known | {number: faults[place] for number, place in _numbers(others, images)},
    )


def _seconds(time: datetime | None) -> float | None:
    return round(time.timestamp(), 3) if time else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
