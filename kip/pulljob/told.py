"""What the kubelets' Events tell of pulls: how long, and how many bytes. Nothing depends on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kip.core.kubernetes_events import pull_in
from kip.pulljob.attempt import places_of
from kip.pulljob.podview import CONTAINER_PREFIX, Pull
from kip.pulljob.record import Record
from kip.pulljob.spec import PullJob

_THERE = re.compile(r"Container image .* already present on machine")
_CONTAINER = re.compile(rf"spec\.containers\{{{CONTAINER_PREFIX}(\w+)\}}")


def learn(
    job: PullJob, record: Record, events: Iterable[Mapping[str, Any]], pods: Mapping[str, str]
) -> Record:
    """Return the record with what Events tell of its pulls.

    `pods` are the nodes of this run's pods, by uid: those of the run before had the same names.
    """
    places, nodes = places_of(job), dict(record.nodes)
    for event in events:
        about = event["involvedObject"]
        node = pods.get(about.get("uid", ""))
        container = _CONTAINER.fullmatch(about.get("fieldPath", ""))
        number = places.get(container[1]) if container else None
        if node not in nodes or number is None:
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
