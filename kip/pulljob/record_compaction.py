"""Records that stay small however many nodes and images a job has: a controller keeps them for long.

What single pulls tell (255 images on 5,000 nodes: over a million) comes down to the digests of each image,
and faults that are alike are held once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kip.pulljob.pod_view import Pull, PullFailure
from kip.pulljob.record import NodeRecord, Record

MOST_DIGESTS = 3
"""The newest digests of one image that are kept: more than one where its tag moved."""

MOST_FAULTS = 1000
"""Different faults of one job that are held; of more, only the reasons are: there may be a port in each."""


@dataclass(slots=True)
class RecordCompactor:
    """Makes the records of one job small, step by step."""

    _faults: dict[PullFailure, PullFailure] = field(default_factory=dict)

    def __call__(self, record: Record, before: Record) -> Record:
        """Return the record with less in the nodes that are not those of `before`."""
        nodes, digests = dict(record.nodes), dict(record.digests)
        for name, one in record.nodes.items():
            if one is not before.nodes.get(name):
                _note(digests, one.pulls)
                nodes[name] = self._node(one)
        return replace(record, nodes=nodes, digests=digests)

    def _node(self, one: NodeRecord) -> NodeRecord:
        settled = one.pulled | one.failed
        return replace(
            one,
            pulls={},
            tries={number: tries for number, tries in one.tries.items() if not settled >> number & 1},
            faults={
                number: self._fault(fault)
                for number, fault in one.faults.items()
                if not one.pulled >> number & 1
            },
        )

    def _fault(self, fault: PullFailure) -> PullFailure:
        if fault not in self._faults and len(self._faults) >= MOST_FAULTS:
            fault = PullFailure(fault.reason)
        return self._faults.setdefault(fault, fault)


def digest_of(pull: Pull) -> str:
    """Return the digest in the image ID of a runtime, which may have a name before it."""
    return pull.digest.rpartition("@")[2]


def _note(digests: dict[int, tuple[str, ...]], pulls: Mapping[int, Pull]) -> None:
    for number, pull in pulls.items():
        digests[number] = _with(digests.get(number, ()), digest_of(pull))


def _with(known: tuple[str, ...], digest: str) -> tuple[str, ...]:
    return (*(one for one in known if one != digest), digest)[-MOST_DIGESTS:]
