"""The fields of a manifest, read one by one: what is wrong is found, named by its path, and not raised."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kip.config.diagnostics import Diagnostics
from kip.config.mappings import place
from kip.config.suggestions import did_you_mean

TEN_YEARS = 10 * 366 * 24 * 3600
LARGEST = {"int32": 2**31 - 1, "deadline": TEN_YEARS}


class Fields:
    """One object of a manifest at `path`, such as `spec.pullPolicy`.

    Each reader takes the field's name and gives its value, or the default where it is missing, null or at
    fault. `refuse_others` then tells of the fields that nobody asked for.
    """

    def __init__(self, path: str, given: Any, findings: Diagnostics) -> None:
        self.path, self.findings = path, findings
        self._asked: set[str] = set()
        if not isinstance(given, Mapping | None):
            findings.problem(path, given, "is no mapping of fields", "Write `field: value` lines below it.")
        self._given: Mapping[str, Any] = given if isinstance(given, Mapping) else {}

    def has(self, name: str) -> bool:
        """Whether the field is there, and not null."""
        self._asked.add(name)
        return self._given.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return the value as it was given."""
        self._asked.add(name)
        return self._given.get(name)

    def problem(self, name: str, message: str, remedy: str) -> None:
        """Say what is wrong with a field."""
        self.findings.problem(f"{self.path}.{name}", self._given.get(name, ""), message, remedy)

    def part(self, name: str) -> "Fields":
        """Return the object in a field; one without fields where it is missing."""
        return Fields(f"{self.path}.{name}", self.raw(name), self.findings)

    def text(self, name: str) -> str:
        """Return a text."""
        value = self.raw(name)
        if isinstance(value, str | None):
            return value or ""
        self.problem(name, "is no text", f'Write "{value}", in quotes.')
        return ""

    def word(self, name: str, words: Sequence[str], default: str) -> str:
        """Return one of a few words; empty is the default."""
        found = self.text(name)
        if found and found not in words:
            self.problem(name, "is no word that is known here", f"Write {' or '.join(words)}.")
        return found if found in words else default

    def number(self, name: str, *, least: int, kind: str = "int32") -> int | None:
        """Return a whole number."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(name, "is no whole number", "Write digits only, without quotes.")
        elif value < least:
            self.problem(name, f"is less than {least}", f"Write at least {least}.")
        elif value > LARGEST[kind]:
            self.problem(name, "is too large", f"Write at most {LARGEST[kind]}.")
        else:
            return value
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; equal ones are a problem."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.problem(name, "is no list", "Write one `- value` line for each.")
            return ()
        found: list[str] = []
        for number, item in enumerate(value):
            if not isinstance(item, str) or not item:
                self.problem_at(name, number, item, "is no text", "Write a text, in quotes.")
            elif item in found:
                self.problem_at(name, number, item, "is there twice", "Keep one of the two.")
            else:
                found.append(item)
        return tuple(found)

    def pairs(self, name: str) -> dict[str, str]:
        """Return a mapping of texts to texts."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(name, "is no mapping", "Write `key: value` lines below it.")
            return {}
        for key, item in value.items():
            if not isinstance(item, str):
                where = place(f"{self.path}.{name}", str(key))
                self.findings.problem(where, item, "is no text", f'Write "{item}", in quotes.')
        return {str(key): item for key, item in value.items() if isinstance(item, str)}

    def objects(self, name: str) -> Iterable["Fields"]:
        """Return the objects of a list."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.problem(name, "is no list", "Write one `- field: value` entry for each.")
            return ()
        return [
            Fields(f"{self.path}.{name}[{number}]", item, self.findings) for number, item in enumerate(value)
        ]

    def problem_at(self, name: str, number: int, value: object, message: str, remedy: str) -> None:
        """Say what is wrong with one entry of a list, counted from 0 as the API server does."""
        self.findings.problem(f"{self.path}.{name}[{number}]", value, message, remedy)

    def refuse_others(self) -> None:
        """Say which fields are none: a misspelt one would otherwise be left out silently."""
        for name in self._given:
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.problem(
                    str(name),
                    "is no field that is known here",
                    did_you_mean(str(name), self._asked, f"There are {known}."),
                )
