"""What the kubelets' Events tell of pulls: how long, and how many bytes. Nothing depends on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kip.config.durations import go_seconds
from kip.pulljob.attempt import places_of
from kip.pulljob.podview import CONTAINER_PREFIX, Pull
from kip.pulljob.record import Record
from kip.pulljob.spec import PullJob, short_hash

FIELDS = "involvedObject.kind=Pod,reason=Pulled"
"""The field selector that the API server finds these Events by."""

# pkg/kubelet/images/image_manager.go; the size since Kubernetes 1.30.
_PULLED = re.compile(r"Successfully pulled image .* in (\S+) \(.*\)\.?(?: Image size: (\d+) bytes)?")
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
        if node is None or number is None or _is_older(event, record.started):
            continue
        pulls = nodes[node].pulls
        if number in pulls and (told := _told(event.get("message", ""), pulls[number])):
            nodes[node] = replace(nodes[node], pulls={**pulls, number: told})
    return replace(record, nodes=nodes)


def _told(message: str, known: Pull) -> Pull | None:
    if _THERE.match(message):
        return replace(known, seconds=None, there=True)
    if not (match := _PULLED.match(message)):
        return None
    size = int(match[2]) if match[2] else None
    return replace(known, seconds=go_seconds(match[1]), size=size, there=False)


def _node_of(job: PullJob, pod: str) -> str:
    """Return the hash of the node that is in the name of a pod of the job; else ""."""
    rest = pod.removeprefix(f"kip-pull-{job.key}-")
    return "" if rest == pod else rest.partition("-")[0]


def _is_older(event: Mapping[str, Any], started: datetime) -> bool:
    seen = event.get("lastTimestamp") or event.get("eventTime")
    return seen is not None and datetime.fromisoformat(seen) < started - SKEW
