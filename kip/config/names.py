"""The names that Kubernetes accepts, and how to mend one that it does not.

Source: k8s.io/apimachinery/pkg/util/validation (IsDNS1123Label, IsDNS1123Subdomain, IsQualifiedName,
IsValidLabelValue). Each `..._fault` returns what is wrong, or an empty string.
"""

import re

LONGEST_LABEL = 63
LONGEST_SUBDOMAIN = 253

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def label_fault(text: str) -> str:
    """Check an RFC 1123 label: a container's or a namespace's name."""
    if len(text) > LONGEST_LABEL:
        return f"has {len(text)} characters, {LONGEST_LABEL} are allowed"
    if not _LABEL.fullmatch(text):
        return "is not made of lower case letters, digits and inner dashes only"
    return ""


def subdomain_fault(text: str, longest: int = LONGEST_SUBDOMAIN) -> str:
    """Check an RFC 1123 subdomain: the name of most objects."""
    if len(text) > longest:
        return f"has {len(text)} characters, {longest} are allowed"
    if not _SUBDOMAIN.fullmatch(text):
        return "is not made of lower case letters, digits and inner dashes and dots only"
    return ""


def qualified_name_fault(text: str) -> str:
    """Check the key of a label or an annotation: `name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and (fault := subdomain_fault(prefix)):
        return f"has a part before the slash that {fault}"
    if len(name) > LONGEST_LABEL:
        return f"has {len(name)} characters, {LONGEST_LABEL} are allowed"
    if not _QUALIFIED.fullmatch(name):
        return "is not made of letters, digits and inner dashes, dots and underscores only"
    return ""


def label_value_fault(text: str) -> str:
    """Check the value of a label, which may be empty."""
    return qualified_name_fault(text) if text and "/" not in text else "contains a slash" if text else ""


def mend_label(text: str) -> str:
    """Return the RFC 1123 label nearest to `text`; empty if nothing of it can be used.

    >>> mend_label("My_App.")
    'my-app'
    """
    usable = re.sub(r"[^a-z0-9]+", "-", re.sub(r"[^\x00-\x7f]+", "", text).lower())
    if _LABEL.fullmatch(text):
        usable = text
    return usable.strip("-")[:LONGEST_LABEL].rstrip("-")


def mend_subdomain(text: str) -> str:
    """Return the RFC 1123 subdomain nearest to `text`; empty if nothing of it can be used."""
    return ".".join(label for part in text.split(".") if (label := mend_label(part)))[:LONGEST_SUBDOMAIN]


def with_suffix(label: str, suffix: str) -> str:
    """Append `-suffix` to an RFC 1123 label, which gives way where the whole becomes too long."""
    return f"{label[: LONGEST_LABEL - len(suffix) - 1].rstrip('-')}-{suffix}"
