"""Many names in one sentence."""

import pytest

from kip.core.text import join_names


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        ("ab", None, "a, b"),
        ("abcde", None, "a, b, c, d, e"),
        ("abcdefg", None, "a, b, c, d, e and 2 more"),
        ("ab", 9, "a, b and 7 more"),
        ("ab", 2, "a, b"),
    ],
)
def test_some_are_named_and_the_others_counted(names, count, said):
    assert join_names(list(names), count) == said
