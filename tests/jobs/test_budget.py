"""How jobs share the budget of nodes that pull."""

from hypothesis import given
from hypothesis import strategies as st

from kip.jobs.budget import Demand, allocate

WISHES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.builds(Demand, st.integers(0, 20), st.integers(0, 50)),
    max_size=12,
)


def test_jobs_that_want_much_have_the_same():
    wishes = {"a": Demand(0, 100), "b": Demand(0, 100), "c": Demand(0, 100)}
    assert allocate(10, wishes) == {"a": 4, "b": 3, "c": 3}


def test_what_a_small_job_does_not_need_the_others_have():
    assert allocate(10, {"a": Demand(0, 100), "b": Demand(0, 1)}) == {"a": 9, "b": 1}


def test_a_later_job_catches_up_before_the_others_get_more():
    assert allocate(12, {"old": Demand(8, 100), "new": Demand(0, 100)}) == {"old": 0, "new": 4}


def test_who_is_first_among_equals_changes():
    wishes = {"a": Demand(1, 9), "b": Demand(1, 9), "c": Demand(1, 9)}
    assert [max(wishes, key=allocate(4, wishes, turn).__getitem__) for turn in range(4)] == [
        "a",
        "b",
        "c",
        "a",
    ]


def test_a_budget_that_was_lowered_is_kept_by_giving_nothing():
    assert allocate(5, {"a": Demand(9, 100)}) == {"a": 0}


@given(st.integers(0, 60), WISHES, st.integers(0, 99))
def test_the_budget_is_never_exceeded_nor_left_idle(budget, wishes, turn):
    found = allocate(budget, wishes, turn)
    free = max(budget - sum(wish.pulling for wish in wishes.values()), 0)
    assert sum(found.values()) == min(free, sum(wish.wants for wish in wishes.values()))
    assert all(0 <= found[name] <= wish.wants for name, wish in wishes.items())


@given(st.integers(0, 60), WISHES, st.integers(0, 99))
def test_nobody_gets_more_while_another_has_less_and_wants(budget, wishes, turn):
    found = allocate(budget, wishes, turn)
    for name, share in found.items():
        for other, wish in wishes.items():
            if share and found[other] < wish.wants:
                assert wishes[name].pulling + share <= wish.pulling + found[other] + 1
