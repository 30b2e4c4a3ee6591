"""What holds for all settings: the same bytes each time, and a plan that ends."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as some
from samples import COMPLETE, OWNER, settings, stored

from kip.config.settings import Platform, Settings
from kip.core.render.daemonset import render
from kip.core.rights import Rights
from kip.core.rollout.plan import Observed, Plan, Target, Wanted, make_plan

names = some.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
references = some.builds(
    "registry.example/{}:{}".format, names, some.sampled_from(["latest", "1", "1.2.3", "next", "2026-11-21"])
)
lists = some.lists(some.tuples(names, references), min_size=1, max_size=8, unique_by=lambda entry: entry[0])
everything = some.builds(
    lambda entries, surge, selector, policy, secret: settings(
        ";".join(f"{name}={image}" for name, image in entries),
        MAX_SURGE=surge,
        NODE_SELECTOR=json.dumps(selector),
        IMAGE_PULL_POLICY=policy,
        IMAGE_PULL_SECRETS=secret,
    ),
    lists,
    some.sampled_from(["100%", "1", "25%"]),
    some.dictionaries(names, names, max_size=3),
    some.sampled_from(["auto", "Always", "IfNotPresent", "Never"]),
    some.sampled_from(["", "first;second"]),
)


def plan(wanted: dict, found: dict) -> Plan:
    seen = Observed(found | {"status": COMPLETE}, OWNER, Rights())
    budget = str(wanted["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"])
    return make_plan(Wanted(Target(wanted, wanted), budget=budget), seen, lambda *_: 0.0)


def rendered(chosen: Settings) -> dict:
    return render(chosen, platform=Platform.KUBERNETES, owner=OWNER)


@given(everything)
def test_the_same_settings_give_the_same_bytes(chosen):
    assert json.dumps(rendered(chosen)) == json.dumps(rendered(chosen))


@given(everything)
def test_every_image_has_one_container_in_the_order_of_the_list(chosen):
    containers = rendered(chosen)["spec"]["template"]["spec"]["containers"]
    assert [(item["name"], item["image"]) for item in containers] == [
        (entry.name, entry.image) for entry in chosen.images
    ]


@given(everything)
def test_after_apply_the_plan_is_empty(chosen):
    wanted = rendered(chosen)
    assert plan(wanted, stored(wanted)).steps == ()


@given(everything, some.data())
def test_any_change_of_the_spec_is_noticed(chosen, data):
    wanted = rendered(chosen)
    found = stored(wanted)
    place, key = data.draw(some.sampled_from([*leaves(found["spec"])]))
    place[key] = "changed by somebody"
    assert plan(wanted, found).steps


def leaves(value):
    """Yield (mapping or list, key) of every value that holds no others."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list) and item:
            yield from leaves(item)
        else:
            yield value, key


@given(everything, everything)
def test_what_one_plan_writes_satisfies_the_next(before, after):
    found = stored(rendered(before))
    first = plan(rendered(after), found)
    now = deepcopy(found) | {"spec": first.steps[0].spec if first.steps else found["spec"]}
    assert plan(rendered(after), now).steps == ()


def test_the_property_of_changes_looks_at_every_leaf():
    assert len([*leaves({"a": [{"b": 1}, {"c": {}}], "d": 2})]) == pytest.approx(3)
