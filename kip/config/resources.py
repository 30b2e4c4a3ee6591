"""What requests and limits say together."""

from collections.abc import Mapping
from decimal import Decimal

from kip.config.diagnostics import Diagnostics
from kip.config.quantities import QuantityProblem, parse_quantity

LEAST_MEMORY = Decimal(12 * 1024**2)
"""CRI-O refuses to start a container with less (cri-o/cri-o#1722); 512Ki with crun since 1.30."""

ADVISABLE_MEMORY = Decimal(20 * 1024**2)
"""The default. With less, container runtimes were killed while starting (eclipse-che/che#22446)."""


def check_resources(values: Mapping[str, str], findings: Diagnostics) -> None:
    """Check the four quantities, given by key; those that are no quantities are left to their own problem."""
    for resource in ("MEMORY", "CPU"):
        _check_order(f"CACHING_{resource}_REQUEST", f"CACHING_{resource}_LIMIT", values, findings)
    key = "CACHING_MEMORY_LIMIT"
    limit = _amount(values[key])
    if limit and limit < LEAST_MEMORY:
        message = "is less than the 12Mi that some container runtimes (CRI-O) need to start a container"
        findings.note(key, values[key], message, "Write 20Mi.")
    elif limit and limit < ADVISABLE_MEMORY:
        message = "is little: containers have been killed while starting below 20Mi"
        findings.note(key, values[key], message, "Write 20Mi.")


def _check_order(request: str, limit: str, values: Mapping[str, str], findings: Diagnostics) -> None:
    asked, allowed = _amount(values[request]), _amount(values[limit])
    if asked and allowed and asked > allowed:
        message = f"is more than {limit}={values[limit]}"
        findings.problem(request, values[request], message, f"Lower it to {values[limit]}, or raise {limit}.")


def _amount(text: str) -> Decimal | None:
    """Return the amount, or None for none at all and for what is no quantity."""
    try:
        return parse_quantity(text) or None
    except QuantityProblem:
        return None
