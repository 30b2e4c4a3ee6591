"""What a check comes to, and the table of all checks; the documentation follows that table."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How a check ended. SKIPPED: what it needs could not be read."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `subject` is the setting, right or object that it is about (may be empty), `message` says what was found,
    `remedy` is a sentence that says what to do, or empty.
    """

    check: str
    state: Severity
    message: str
    remedy: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the documentation: what is looked at, when it is a problem or a warning, what is read."""

    name: str
    looks_at: str
    problem: str
    warning: str
    reads: str


CHECKS = (
    Check(
        "settings", "every setting", "it cannot be used", "it was mended, or is nearly a setting's name", ""
    ),
    Check(
        "images", "the entries of the image list", "one is left out", "one was mended, or is there twice", ""
    ),
    Check("moving tags", "tags that can come to mean another image", "", "there are some", ""),
    Check("image count", "how many images a node holds", "", "more than 50", ""),
    Check("daemonset size", "the cache as one object", "more than etcd takes", "more than half of that", ""),
    Check(
        "memory limit",
        "the memory limit of a cache container",
        "below 12Mi, which CRI-O refuses",
        "below 20Mi",
        "",
    ),
    Check(
        "rights",
        "what these credentials may do",
        "the base job is not possible",
        "a right that makes it better is missing",
        "selfsubjectrulesreviews: create (everybody may)",
    ),
    Check("namespace", "the cache's namespace", "it is missing or ends", "", "namespaces: get"),
    Check("pod security", "the level that the namespace enforces", "", "it is unknown", "namespaces: get"),
    Check(
        "pull secrets",
        "IMAGE_PULL_SECRETS, by name",
        "a Secret is missing or no registry credential",
        "",
        "secrets: get",
    ),
    Check("nodes", "NODE_SELECTOR and AFFINITY", "no node is selected", "", "nodes: list"),
    Check(
        "taints", "taints of the selected nodes", "no node is left", "some nodes are left out", "nodes: list"
    ),
    Check(
        "containers",
        "containers in the cluster",
        "more than Kubernetes' 300,000",
        "more than half of that",
        "nodes: list",
    ),
    Check(
        "quota",
        "ResourceQuotas of the namespace",
        "the cache does not fit, or lacks an amount that one asks for",
        "it does not fit twice, as in a surge, and its net beside it, as while an image fails",
        "resourcequotas: list; nodes: list",
    ),
    Check(
        "limit range",
        "LimitRanges of the namespace",
        "a container or the pod is outside one",
        "",
        "limitranges: list",
    ),
)


def is_fine(findings: tuple[Finding, ...], *, strict: bool = False) -> bool:
    """Whether there is no problem; with `strict` neither a warning."""
    bad = {Severity.PROBLEM, Severity.WARNING} if strict else {Severity.PROBLEM}
    return not any(finding.state in bad for finding in findings)


def to_document(findings: tuple[Finding, ...], *, strict: bool = False) -> dict[str, Any]:
    """Return the findings as a plain value, for programs."""
    return {
        "fine": is_fine(findings, strict=strict),
        "counts": {state.value: sum(finding.state is state for finding in findings) for state in Severity},
        "findings": [
            {
                "check": finding.check,
                "state": finding.state.value,
                "subject": finding.subject,
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
    }


def as_markdown() -> str:
    """Return the table of all checks in Markdown, with a final newline."""
    rows = [
        ("Check", "Looks at", "Problem when", "Warning when", "Reads"),
        ("---",) * 5,
        *((f"`{row.name}`", row.looks_at, row.problem, row.warning, row.reads) for row in CHECKS),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
