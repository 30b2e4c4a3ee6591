"""The status of a job: bounded, and with times that tell when something changed."""

from datetime import timedelta

from pullworld import BEGIN

from kip.jobs.job_status import failures_of, status_of, status_of_refused
from kip.pulljob.pod_view import PullFailure
from kip.pulljob.record import NodeRecord, Record
from kip.pulljob.spec import PullJob
from kip.pulljob.status import count
from kip.pulljob.targets import TargetNode, Targets

IMAGES = tuple(f"registry.example/{number}:1" for number in range(30))
JOB = PullJob("job", "ci", IMAGES, "0123456789", kind="ImageListPullJob")
TARGETS = Targets(tuple(TargetNode(f"node{number:04}") for number in range(3000)))


def failed(message: str) -> Record:
    faults = {number: PullFailure("ErrImagePull", message) for number in range(len(IMAGES))}
    one = NodeRecord(1, 1, failed=JOB.everything, faults=faults)
    nodes = {target.name: one for target in TARGETS.nodes}
    return Record(IMAGES, BEGIN, BEGIN + timedelta(minutes=5), "job has completed", nodes)


def status(record: Record, before: dict | None = None, later: int = 0, **more: object) -> dict:
    return status_of(
        JOB,
        count(JOB, TARGETS, record, record.outcome),
        failures_of(JOB, TARGETS, record),
        before or {},
        BEGIN + timedelta(minutes=later),
        generation=1,
        **more,
    )


def test_whatever_fails_the_status_stays_small():
    found = status(failed("x" * 5000))
    assert len(found["failures"]) == 20
    assert max(len(failure["nodes"]) for failure in found["failures"]) == 5
    assert found["failures"][0]["count"] == 3000
    assert len(found["failedNodes"]) == 1000
    assert len(str(found)) < 60_000


def test_a_password_in_a_message_is_not_told():
    assert "hunter2" not in str(status(failed("https://bob:hunter2@registry.example: no such host")))


def test_conditions_keep_the_time_of_their_last_change():
    record = failed("not found")
    first = status(record)
    again = status(record, first, later=3)
    assert again == first
    other = status(Record(IMAGES, BEGIN), first, later=3)
    times = {found["type"]: found["lastTransitionTime"] for found in other["conditions"]}
    assert times["Failed"] > first["conditions"][0]["lastTransitionTime"]
    assert times["Complete"] == first["conditions"][0]["lastTransitionTime"]


def test_what_is_in_the_way_is_the_message_and_the_reason():
    found = status(Record(IMAGES, BEGIN), trouble="blocked: no right")
    assert found["message"] == "blocked: no right"
    assert {one["reason"] for one in found["conditions"]} == {"Blocked"}


def test_a_refused_spec_is_failed_and_says_why():
    found = status_of_refused("spec.image: names no image", "ImagePullJob", {}, BEGIN, generation=2)
    assert found["message"] == "job cannot be run: spec.image: names no image"
    assert found["observedGeneration"] == 2
