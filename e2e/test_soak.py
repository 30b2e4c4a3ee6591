"""Minutes of edits, kills and outages, drawn by chance from a fixed seed: no node ever loses a pin."""

import pytest
from realcluster import TOP
from soak import soak


@pytest.mark.alone
@pytest.mark.timeout(2400)  # peace may take long: a kubelet tries a pull again late
@pytest.mark.parametrize(("rights", "minutes", "seed"), [("kip", 2, 3), ("upstream", 1, 2)])
def test_no_pin_is_lost_whatever_happens(namespace, rights, minutes, seed):
    report = soak(namespace, rights=rights, minutes=minutes, seed=seed, folder=TOP / "e2e/logs" / namespace)
    assert report.gaps == []
    assert report.problems == []
