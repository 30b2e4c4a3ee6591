"""Kubernetes quantities: `20Mi`, `.05`, `200m`, `1e3`.

Source: k8s.io/apimachinery/pkg/api/resource (ParseQuantity).
"""

import re
from decimal import Decimal

from kip.config.diagnostics import Unreadable

LARGEST = Decimal(2**63 - 1)
"""The API server silently caps what is larger; nobody means such an amount."""

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3}|)"
)
_ALMOST = re.compile(r"(?P<number>[+-]?[0-9]*[.,]?[0-9]+)\s*(?P<unit>[a-zA-Z]*)")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_MEANT = {"k": ("k", "Ki"), "m": ("M", "Mi"), "g": ("G", "Gi"), "t": ("T", "Ti")}
_LONGEST = 40


class QuantityProblem(Unreadable):
    """The text is no quantity that Kubernetes accepts for a resource."""


def parse_quantity(text: str) -> Decimal:
    """Return the exact amount: bytes for memory, cores for CPU. Raise `QuantityProblem`.

    >>> parse_quantity("20Mi"), parse_quantity("200m")
    (Decimal('20971520'), Decimal('0.200'))
    """
    match = _QUANTITY.fullmatch(text[: _LONGEST + 1])
    if not match or len(text) > _LONGEST:
        raise QuantityProblem("is not a Kubernetes quantity", hint=_remedy(text))
    amount = Decimal(match["number"]) * _factor(match["suffix"])
    if amount < 0:
        raise QuantityProblem("is negative", hint="Write 0 for none, or an amount such as 20Mi or 200m.")
    if amount > LARGEST:
        raise QuantityProblem("is more than Kubernetes can count", hint="Write an amount such as 20Mi or 1.")
    return amount


def _factor(suffix: str) -> Decimal:
    if suffix in _BINARY:
        return Decimal(1024 ** _BINARY[suffix])
    if suffix in _DECIMAL:
        return Decimal(1).scaleb(_DECIMAL[suffix])
    return Decimal(1).scaleb(int(suffix[1:])) if suffix else Decimal(1)


def _remedy(text: str) -> str:
    almost = _ALMOST.fullmatch(text.strip()[:_LONGEST])
    if not almost or len(text) > _LONGEST:
        return "Write a number and a unit, such as 20Mi or 20M for memory, 200m or .2 for CPU."
    number, unit = almost["number"].replace(",", "."), almost["unit"].lower()
    if unit.startswith(("cpu", "core", "vcpu")) or not unit:
        return f"Write {number}."
    if unit.startswith("milli"):
        return f"Write {number}m."
    if unit[0] in _MEANT:
        decimal, binary = _MEANT[unit[0]]
        return (
            f"Write {number}{decimal} (powers of 1000) or {number}{binary} (powers of 1024), without a space."
        )
    return f"Write a unit that Kubernetes knows, such as {number}Mi or {number}M."
