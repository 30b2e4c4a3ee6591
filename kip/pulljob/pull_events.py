"""What the kubelets' Events tell of pulls: how long, and how many bytes. Nothing depends on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kip.core.status.kubernetes_events import NOT_SET_UP, pull_in, time_of
from kip.pulljob.node_progress import TIMEOUT, places_of
from kip.pulljob.pod_view import CONTAINER_PREFIX, Pull, PullFailure
from kip.pulljob.record import Record
from kip.pulljob.spec import PullJob
from kip.redact import redacted

SET_UP = tuple(f"; {fields.partition('=')[2]}: " for fields in NOT_SET_UP)
UNTOLD = (TIMEOUT, "DeadlineExceeded")
"""Reasons that leave open what took so long."""

_THERE = re.compile(r"Container image .* already present on machine")
_CONTAINER = re.compile(rf"spec\.containers\{{{CONTAINER_PREFIX}(\w+)\}}")


def apply_pull_events(
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


def explain_failures(record: Record, events: Iterable[Mapping[str, Any]], pods: Mapping[str, str]) -> Record:
    """Return the record with what the Events NOT_SET_UP tell of these pods, where their time ran out.

    `pods` are those that were never set up: whatever was in the way of others is over.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for event in sorted(events, key=lambda event: time_of(dict(event))):
        if node := pods.get(event["involvedObject"].get("uid", "")):
            newest[node] = event
    nodes = dict(record.nodes)
    for node, event in newest.items():
        if node in nodes:
            why = f"{event.get('reason', '')}: {redacted(event.get('message') or '')}"
            nodes[node] = replace(nodes[node], faults=_explained(nodes[node].faults, why))
    return replace(record, nodes=nodes)


def _explained(faults: Mapping[int, PullFailure], why: str) -> dict[int, PullFailure]:
    return {
        number: replace(fault, message=f"{fault.message}; {why}")
        if fault.reason in UNTOLD and not any(word in fault.message for word in SET_UP)
        else fault
        for number, fault in faults.items()
    }


def _told(message: str, known: Pull) -> Pull | None:
    if _THERE.match(message):
        return replace(known, seconds=None, there=True)
    told = pull_in(message)
    return replace(known, seconds=told[0], size=told[1], there=False) if told else None
