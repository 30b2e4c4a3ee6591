"""Differences between two manifests."""

import pytest

from kip.core.rollout.differences import differences

CONTAINERS = [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]


@pytest.mark.parametrize(
    ("wanted", "found", "paths"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="equal"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"], id="a value deep down"),
        pytest.param({"a": 1}, {}, ["a"], id="missing"),
        pytest.param({}, {"a": 1}, ["a"], id="added by somebody"),
        pytest.param({"a": []}, {}, [], id="empty list and absent are the same"),
        pytest.param({}, {"a": {}}, [], id="empty mapping and absent are the same"),
        pytest.param({"a": 0}, {}, ["a"], id="zero is something"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, ["a"], id="lists of other length"),
        pytest.param({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]"], id="an item of a list"),
        pytest.param(CONTAINERS, CONTAINERS[:1], ["[b]"], id="a named item is missing"),
        pytest.param(CONTAINERS[:1], CONTAINERS, ["[b]"], id="a named item too many"),
        pytest.param(CONTAINERS, CONTAINERS[::-1], [" (order)"], id="order of named items"),
        pytest.param(
            CONTAINERS,
            [CONTAINERS[0], {"name": "b", "image": "y:2"}],
            ["[b].image"],
            id="a field of a named item",
        ),
        pytest.param(
            CONTAINERS,
            [{"name": "c", "image": "z:1"}, {"name": "a", "image": "x:2"}],
            ["[b]", "[c]", "[a].image"],
            id="several at once",
        ),
    ],
)
def test_names_each_place_that_differs(wanted, found, paths):
    assert list(differences(wanted, found)) == paths
