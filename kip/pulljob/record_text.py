"""A record as a short text, which fits into an object of Kubernetes: gzipped JSON in base64.

5,000 nodes take about 60 kB of the 1 MiB that a ConfigMap holds. What is known of single pulls (digest, time,
bytes) is not kept: of 255 images on 5,000 nodes it would not fit. Faults are kept once each, shortened.
"""

import base64
import binascii
import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from kip.errors import KipError
from kip.pulljob.podview import Fault
from kip.pulljob.record import NodeRecord, Record

FORM = 1
LARGEST_BYTES = 16 * 2**20
LONGEST_MESSAGE = 300
MOST_FAULTS = 100
"""Different faults that are kept; of more, only the reasons are."""


class RecordUnreadable(KipError):
    """A text is no record of a job; the job can only begin again."""


def to_text(record: Record) -> str:
    """Return the record as ASCII text."""
    faults: dict[tuple[str, str], int] = {}
    nodes = {name: _packed(one, faults) for name, one in record.nodes.items()}
    document = {
        "form": FORM,
        "images": record.images,
        "started": _seconds(record.started),
        "finished": _seconds(record.finished),
        "outcome": record.outcome,
        "faults": list(faults),
        "nodes": nodes,
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
        faults = [Fault(*fault) for fault in found["faults"]]
        return Record(
            tuple(found["images"]),
            datetime.fromtimestamp(found["started"], UTC),
            _time(found["finished"]),
            found["outcome"],
            {name: _unpacked(packed, faults) for name, packed in found["nodes"].items()},
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
    ) as error:
        raise RecordUnreadable(f"no record of a pull job: {error}") from error


def _packed(one: NodeRecord, faults: dict[tuple[str, str], int]) -> list[Any]:
    told = {
        number: _index(fault, faults) for number, fault in one.faults.items() if not one.pulled >> number & 1
    }
    return [
        one.started,
        one.closed,
        one.lost,
        f"{one.pulled:x}",
        f"{one.failed:x}",
        _seconds(one.retry_at),
        _seconds(one.since),
        one.tries,
        told,
    ]


def _unpacked(packed: list[Any], faults: list[Fault]) -> NodeRecord:
    started, closed, lost, pulled, failed, retry_at, since, tries, told = packed
    return NodeRecord(
        started,
        closed,
        lost,
        int(pulled, 16),
        int(failed, 16),
        _time(retry_at),
        _time(since),
        {int(number): count for number, count in tries.items()},
        {int(number): faults[index] for number, index in told.items()},
    )


def _index(fault: Fault, faults: dict[tuple[str, str], int]) -> int:
    key = (fault.reason, fault.message[:LONGEST_MESSAGE])
    if key not in faults and len(faults) >= MOST_FAULTS:
        key = (fault.reason, "")
    return faults.setdefault(key, len(faults))


def _seconds(time: datetime | None) -> float | None:
    return round(time.timestamp(), 3) if time else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
