"""Records stay small, whatever pulls and kubelets tell."""

from datetime import UTC, datetime

from kip.pulljob.pod_view import Pull, PullFailure
from kip.pulljob.record import NodeRecord, Record
from kip.pulljob.record_compaction import MOST_DIGESTS, MOST_FAULTS, RecordCompactor

EMPTY = Record(("x/a:1", "x/b:1"), datetime(2026, 11, 21, 8, tzinfo=UTC))


def record(**nodes: NodeRecord) -> Record:
    return Record(EMPTY.images, EMPTY.started, nodes=nodes)


def test_of_single_pulls_the_digests_are_kept():
    found = RecordCompactor()(record(a=NodeRecord(pulled=1, pulls={0: Pull("x/a@sha256:1", 2.0)})), EMPTY)
    assert (found.digests, found.nodes["a"].pulls) == ({0: ("sha256:1",)}, {})


def test_the_newest_digests_are_kept_and_the_newest_stands_last():
    lean, before = RecordCompactor(), EMPTY
    for number in (*range(MOST_DIGESTS + 2), 3):
        now = Record(
            before.images,
            before.started,
            nodes={"a": NodeRecord(pulls={0: Pull(f"sha256:{number}")})},
            digests=before.digests,
        )
        before = lean(now, before)
    assert before.digests == {0: ("sha256:2", "sha256:4", "sha256:3")}


def test_attempts_and_faults_of_what_is_over_are_let_go_of():
    one = NodeRecord(
        pulled=1, failed=2, tries={0: 1, 1: 3}, faults={0: PullFailure("A"), 1: PullFailure("B")}
    )
    found = RecordCompactor()(record(a=one), EMPTY).nodes["a"]
    assert (found.tries, found.faults) == ({}, {1: PullFailure("B")})


def test_faults_that_are_alike_are_held_once():
    nodes = {name: NodeRecord(faults={0: PullFailure("A", "not found")}) for name in ("a", "b")}
    found = RecordCompactor()(record(**nodes), EMPTY).nodes
    assert found["a"].faults[0] is found["b"].faults[0]


def test_of_too_many_different_faults_only_the_reasons_are_held():
    nodes = {
        f"n{number}": NodeRecord(faults={0: PullFailure("A", str(number))})
        for number in range(MOST_FAULTS + 9)
    }
    found = {one.faults[0] for one in RecordCompactor()(record(**nodes), EMPTY).nodes.values()}
    assert (len(found), PullFailure("A") in found) == (MOST_FAULTS + 1, True)


def test_nodes_that_did_not_change_stay_what_they_are():
    lean = RecordCompactor()
    before = lean(record(a=NodeRecord(pulled=1)), EMPTY)
    assert lean(before, before).nodes["a"] is before.nodes["a"]
