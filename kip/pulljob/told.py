"""What the kubelets' Events tell of pulls: how long, and how many bytes. Nothing depends on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kip.core.kubernetes_events import pull_in, time_of
from kip.pulljob.attempt import places_of
from kip.pulljob.podview import CONTAINER_PREFIX, Pull
from kip.pulljob.record import Record
from kip.pulljob.spec import PullJob, short_hash

_THERE = re.compile(r"Container image .* already present on machine")
_CONTAINER = re.compile(rf"spec\.containers\{{{CONTAINER_PREFIX}(\w+)\}}")
SKEW = timedelta(seconds=5)


def learn(job: PullJob, record: Record, events: Iterable[Mapping[str, Any]]) -> Record:
    """Return the record with what Events of this run tell of its pulls."""
    places = places_of(job)
    nodes, names = dict(record.nodes), {short_hash(name): name for name in record.nodes}
    for event in events:
        about = event["involvedObject"]
        node = names.get(_node_of(job, about.get("name", "")))
        container = _CONTAINER.fullmatch(about.get("fieldPath", ""))
        number = places.get(container[1]) if container else None
        if (
            node is None
            or number is None
            or datetime.fromisoformat(time_of(dict(event))) < record.started - SKEW
        ):
            continue
        pulls = nodes[node].pulls
        if number in pulls and (told := _told(event.get("message", ""), pulls[number])):
            nodes[node] = replace(nodes[node], pulls={**pulls, number: told})
    return replace(record, nodes=nodes)


def _told(message: str, known: Pull) -> Pull | None:
    if _THERE.match(message):
        return replace(known, seconds=None, there=True)
    told = pull_in(message)
    return replace(known, seconds=told[0], size=told[1], there=False) if told else None


def _node_of(job: PullJob, pod: str) -> str:
    """Return the hash of the node that is in the name of a pod of the job; else ""."""
    rest = pod.removeprefix(f"kip-pull-{job.key}-")
    return "" if rest == pod else rest.partition("-")[0]
