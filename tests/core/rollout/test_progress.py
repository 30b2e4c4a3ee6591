"""Reading a DaemonSet's status."""

import pytest

from kip.core.rollout.progress import read_progress


def daemonset(generation=2, observed=2, wanted=3, updated=3, ready=3):
    return {
        "metadata": {"generation": generation},
        "status": {
            "observedGeneration": observed,
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": updated,
            "numberReady": ready,
        },
    }


@pytest.mark.parametrize(
    ("found", "state"),
    [
        pytest.param(daemonset(), "complete", id="all updated and ready"),
        pytest.param(daemonset(observed=1), "counting", id="the controller has not seen the new template"),
        pytest.param(daemonset(wanted=0, updated=0, ready=0), "no matching nodes", id="no node matches"),
        pytest.param(daemonset(ready=2), "filling", id="a node is not ready"),
        pytest.param(daemonset(updated=1), "filling", id="old pods are ready, new ones to come"),
        pytest.param({"metadata": {"generation": 1}}, "counting", id="no status yet"),
    ],
)
def test_says_how_far_the_cache_is(found, state):
    assert read_progress(found).state == state
