"""What the keeper may do in its namespace, as the API server itself lists it.

Source of the shape: SelfSubjectRulesReview (authorization.k8s.io/v1), `status.resourceRules`. Asked for in
one request instead of found out by failing.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `*` stands for anything, empty `names` for every object."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]

    def allows(self, verb: str, group: str, resource: str, name: str) -> bool:
        """Whether this rule grants `verb` on that resource; a rule for names grants only those names."""
        return (
            _matches(self.verbs, verb)
            and _matches(self.groups, group)
            and _matches(self.resources, resource)
            and (not self.names or name in self.names)
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """All rules of one namespace. `incomplete`: an authorizer could not list its rules (a webhook)."""

    rules: tuple[Rule, ...] = ()
    incomplete: bool = False

    def allow(self, verb: str, resource: str, *, group: str = "", name: str = "") -> bool:
        """Whether `verb` on `resource` (plural, of API group `group`) is granted, for `name` if given."""
        return any(rule.allows(verb, group, resource, name) for rule in self.rules)


def read_rights(review: dict[str, Any]) -> Rights:
    """Read the answer to a SelfSubjectRulesReview."""
    status = review.get("status", {})
    rules = tuple(
        Rule(
            verbs=frozenset(rule.get("verbs") or ()),
            groups=frozenset(rule.get("apiGroups") or ()),
            resources=frozenset(rule.get("resources") or ()),
            names=frozenset(rule.get("resourceNames") or ()),
        )
        for rule in status.get("resourceRules") or ()
    )
    return Rights(rules, incomplete=bool(status.get("incomplete")))


def _matches(granted: frozenset[str], asked: str) -> bool:
    return asked in granted or "*" in granted
