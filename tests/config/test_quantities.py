from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.config.quantities import QuantityProblem, parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", "0"),
        (".05", "0.05"),
        ("5.", "5"),
        ("+1", "1"),
        ("200m", "0.2"),
        ("100u", "0.0001"),
        ("5n", "0.000000005"),
        ("1k", "1000"),
        ("20M", "20000000"),
        ("20Mi", "20971520"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("128974848000m", "128974848"),
    ],
)
def test_kubernetes_quantities_are_read_exactly(text, amount):
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("20 MB", "20Mi"),
        ("20MB", "20M "),
        ("20mb", "20Mi"),
        ("20 Mi", "20Mi"),
        ("1K", "1k "),
        ("0,5", "Write 0.5."),
        ("2 cores", "Write 2."),
        ("200 millicores", "Write 200m."),
        ("-1", "Write 0"),
        ("1e99", "amount"),
        ("9Ei", "amount"),
        ("lots", "20Mi"),
        ("", "20Mi"),
        ("1" * 100, "Write"),
        ("٣", "20Mi"),
        ("NaN", "20Mi"),
    ],
)
def test_anything_else_gets_a_remedy(text, remedy):
    with pytest.raises(QuantityProblem) as caught:
        parse_quantity(text)
    assert remedy in caught.value.hint


@given(st.text() | st.from_regex(r"[+-]?[0-9.]{0,50}[a-zA-Z]{0,3}[+-]?[0-9]{0,9}", fullmatch=True))
def test_any_text_is_a_quantity_or_a_problem(text):
    try:
        amount, remedy = parse_quantity(text), "none needed"
    except QuantityProblem as problem:
        amount, remedy = 0, problem.hint
    assert amount >= 0
    assert remedy
