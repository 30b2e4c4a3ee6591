"""Did you mean ...? For keys that are nearly those that kip knows."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word that `word` was probably meant to be, or an empty string.

    >>> closest("nodeAffinty", ["podAffinity", "nodeAffinity"])
    'nodeAffinity'
    """
    by_lower_case = {name.lower(): name for name in known}
    found = get_close_matches(word.lower()[:100], by_lower_case, n=1, cutoff=0.75)
    return by_lower_case[found[0]] if found else ""


def one_slip_apart(left: str, right: str) -> bool:
    """Whether one letter more, less, other or swapped with its neighbour makes one word of the other."""
    if left == right or abs(len(left) - len(right)) > 1:
        return False
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    rest_left, rest_right = left[start : len(left) - end], right[start : len(right) - end]
    swapped = rest_left == rest_right[::-1] and len(rest_left) == len("ab")
    return swapped or max(len(rest_left), len(rest_right)) <= 1


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a remedy for an unknown word: the one it is closest to, or else `otherwise`."""
    found = closest(word, known)
    return f"Did you mean {found}?" if found else otherwise


def _common(left: str, right: str) -> int:
    """Return how many letters two words have in common at their start."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
