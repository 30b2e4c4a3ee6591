"""The metrics: what each event of the keeper adds."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kip.core.rollout.progress import Progress
from kip.core.status.cell import Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.observe.metrics import Metrics


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """Return the value of the one sample with these labels, None if there is none."""
    families = text_string_to_metric_families(metrics.text().decode())
    samples = [sample for family in families for sample in family.samples]
    return next((item.value for item in samples if (item.name, item.labels) == (name, labels)), None)


def matrix(*cells: tuple[str, str, ImageState]) -> Matrix:
    nodes = tuple(sorted({node for node, _, _ in cells}))
    made = tuple(Cell(node, name, f"example/{name}:1", state) for node, name, state in cells)
    return Matrix("images", "cache", 1, Progress(2, 2, 2, current=True), nodes, made)


def test_cells_are_counted_by_image_and_state():
    metrics = Metrics()
    metrics.surveyed(
        matrix(("n1", "a", ImageState.CACHED), ("n2", "a", ImageState.CACHED), ("n1", "b", ImageState.FAILED))
    )
    labels = {"name": "a", "image": "example/a:1"}
    assert [value(metrics, "kip_cells", state=state, **labels) for state in ("cached", "failed")] == [2, 0]


def test_no_node_is_named():
    metrics = Metrics()
    metrics.surveyed(matrix(("the-node", "a", ImageState.FAILED)))
    assert b"the-node" not in metrics.text()


def test_an_image_that_is_listed_no_more_is_told_no_more():
    metrics = Metrics()
    metrics.surveyed(matrix(("n1", "a", ImageState.CACHED)))
    metrics.surveyed(matrix(("n1", "b", ImageState.CACHED)))
    assert b"example/a:1" not in metrics.text()


def test_without_a_survey_there_are_no_cells():
    metrics = Metrics()
    metrics.surveyed(matrix(("n1", "a", ImageState.CACHED)))
    metrics.surveyed(None)
    assert b"kip_cells{" not in metrics.text()


@pytest.mark.parametrize(("current", "complete"), [(True, 2), (False, 0)])
def test_counts_that_speak_of_an_older_template_prove_nothing(current, complete):
    metrics = Metrics()
    metrics.counted(Progress(3, 2, 3, current=current), complete=False)
    assert [value(metrics, f"kip_nodes_{which}") for which in ("wanted", "complete")] == [3, complete]


def test_two_keepers_in_one_process_do_not_share_figures():
    first, second = Metrics(), Metrics()
    first.changed("apply", rolled=True, repaired=True)
    assert [value(it, "kip_rolls_total") for it in (first, second)] == [1, 0]


def test_outcomes_that_have_not_come_yet_are_zero():
    metrics = Metrics()
    assert value(metrics, "kip_refreshes_total", outcome="moved") == 0
    assert value(metrics, "kip_reconcile_seconds_count", outcome="failed") == 0


def test_requests_are_counted_by_verb_and_code():
    metrics = Metrics()
    for code in ("200", "200", "none"):
        metrics.api_answered("GET", code)
    assert [value(metrics, "kip_api_requests_total", verb="GET", code=code) for code in ("200", "none")] == [
        2,
        1,
    ]


def pulled() -> Metrics:
    metrics = Metrics()
    metrics.surveyed(matrix(("n1", "a", ImageState.CACHED)))
    metrics.pulled("a", 12.0, 1000)
    metrics.pulled("a", 40.0, None)
    return metrics


def test_pulls_are_told_with_their_seconds_and_bytes():
    metrics = pulled()
    names = ("kip_pull_seconds_count", "kip_pull_seconds_sum", "kip_pulled_bytes_total")
    assert [value(metrics, name, name="a") for name in names] == [2, 52, 1000]


def test_pulls_of_an_image_that_is_listed_no_more_are_told_no_more():
    metrics = pulled()
    metrics.surveyed(matrix(("n1", "b", ImageState.CACHED)))
    assert value(metrics, "kip_pull_seconds_count", name="a") is None


def test_pulls_stay_counted_while_nobody_knows_of_the_images():
    metrics = pulled()
    metrics.surveyed(None)
    assert value(metrics, "kip_pull_seconds_count", name="a") == 2
