"""Image references, and which of them can come to mean another image.

Source of the grammar: github.com/distribution/reference (reference.go, normalize.go), which the kubelet and
containerd use; digests: github.com/opencontainers/go-digest.
"""

import re
from dataclasses import dataclass

from kip.config.diagnostics import Unreadable

DEFAULT_DOMAIN = "docker.io"
LONGEST_NAME = 255
LARGEST_PORT = 65535
DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}

_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
_DOMAIN = re.compile(rf"(?:{_HOST}(?:\.{_HOST})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
ANY_REFERENCE = (
    rf"^(?:{_DOMAIN.pattern}/)?{_COMPONENT.pattern}(?:/{_COMPONENT.pattern})*(?::{_TAG.pattern})?"
    r"(?:@[a-z0-9]+:[0-9a-f]{64,128})?$"
)
"""What the API server can check by itself (RE2): no reference fails it; few that pass it are none."""

_BARE_ID = re.compile(r"[a-f0-9]{64}")

_MOVING_WORD = re.compile(
    r"(?:^|[-._+])(?:latest|next|main|master|head|trunk|tip|nightly|daily|weekly|edge|canary|dev|devel|develop"
    r"|development|snapshot|stable|unstable|testing|rolling|current)(?:$|[-._+])",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?:^|[-_+a-zA-Z])[0-9]+\.[0-9]+\.[0-9]+(?![0-9])")
_DATE = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-._]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?![0-9])"
)
_HASH = re.compile(r"(?<![a-zA-Z0-9])(?:sha|git|g)?[-_]?(?=[a-f]*[0-9])[0-9a-f]{7,64}(?![a-zA-Z0-9])")
_BUILD = re.compile(
    r"(?:^|[-._+])(?:build|b)[-._]?[0-9]+(?![0-9a-zA-Z])|^v?[0-9]{5,}$|^v?[0-9]+\.[0-9]+-[0-9]{3,}(?![0-9a-zA-Z])"
)


class ReferenceProblem(Unreadable):
    """The text is no image reference that a node could pull."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference with Docker's defaults filled in; `tag` and `digest` are empty where none was given."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.path}{tag}{digest}"

    @property
    def moving(self) -> bool:
        """Whether the same reference may mean another image tomorrow.

        In this order: a digest never moves; no tag moves; a tag with a date, a commit hash (7 or more hex
        digits, one of them a decimal digit) or a build number (`9.4-1194`, `build-7`, 5 digits and more)
        stays, even `nightly-20240131`; a tag with a word such as `latest`, `next`, `main` or `nightly`
        moves, even `1.2.3-SNAPSHOT`; a version of three numbers stays, whatever follows (`1.2.3-alpine`);
        anything else moves (`1`, `1.2`, `3.12-slim`, `jammy`). When in doubt it moves: that costs a request
        to the registry, the other mistake an outdated image.
        """
        if self.digest:
            return False
        if any(stamp.search(self.tag) for stamp in (_DATE, _HASH, _BUILD)):
            return False
        return bool(_MOVING_WORD.search(self.tag)) or not _VERSION.search(self.tag)


def parse_reference(text: str) -> Reference:
    """Read a reference such as `quay.io/a/b:1` or `busybox@sha256:...`. Raise `ReferenceProblem`."""
    _check_as_a_whole(text)
    rest, _, digest = text.partition("@")
    name, tag = _split_tag(rest)
    domain, path = _split_domain(name)
    _check_name(text, name, domain, path)
    if rest != name and not _TAG.fullmatch(tag):
        raise ReferenceProblem(
            f"has the tag {tag!r}, which is none",
            hint="A tag is up to 128 letters, digits, underscores, dots and dashes; no dot or dash first.",
        )
    if "@" in text:
        _check_digest(digest)
    return Reference(domain, path, tag, digest)


def is_registry(text: str) -> bool:
    """Whether `text` is `host` or `host:port`, as the first part of a reference names a registry."""
    port = text.rpartition("]")[2].partition(":")[2].lstrip("0")
    return bool(_DOMAIN.fullmatch(text)) and len(port) <= len("65535") and int(port or 0) <= LARGEST_PORT


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that containerd accepts: `sha256:` and 64 digits, for example."""
    try:
        _check_digest(text)
    except ReferenceProblem:
        return False
    return True


def _split_tag(text: str) -> tuple[str, str]:
    """Split at the colon after the last slash; one before it belongs to a port."""
    start = text.rfind("/") + 1
    last, _, tag = text[start:].partition(":")
    return text[:start] + last, tag


def _split_domain(name: str) -> tuple[str, str]:
    """Fill in Docker's defaults.

    A first part is a host if it has a dot, a colon or a capital, or is localhost.
    """
    first, slash, rest = name.partition("/")
    if slash and (any(sign in first for sign in ".:[") or first == "localhost" or first != first.lower()):
        domain, path = first, rest
    else:
        domain, path = DEFAULT_DOMAIN, name
    domain = DEFAULT_DOMAIN if domain == "index.docker.io" else domain
    return domain, f"library/{path}" if domain == DEFAULT_DOMAIN and "/" not in path else path


def _check_as_a_whole(text: str) -> None:
    if not text:
        raise ReferenceProblem("names no image", hint="Write an image such as quay.io/group/name:1.0.")
    scheme, mark, rest = text.partition("://")
    if mark:
        raise ReferenceProblem(f"starts with {scheme}://", hint=f"Write {rest}.")
    if any(sign.isspace() for sign in text):
        raise ReferenceProblem("contains a space", hint="Write the image without spaces.")
    if _BARE_ID.fullmatch(text):
        raise ReferenceProblem(
            "is an image id", hint="Write a name and a tag or digest: group/name@sha256:..."
        )


def _check_name(text: str, name: str, domain: str, path: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise ReferenceProblem(
            f"has the registry {domain!r}, which is no host", hint="Write host or host:port."
        )
    if len(name) > LONGEST_NAME or len(path) > LONGEST_NAME:
        raise ReferenceProblem(
            f"has a name longer than {LONGEST_NAME} characters", hint="Write a shorter name."
        )
    if domain != domain.lower() and not any(sign in domain for sign in ".:["):
        # By the grammar a registry of that name; in practice an organisation written with capitals.
        raise _capitals(text, name)
    components = path.split("/")
    wrong = next((part for part in components if not _COMPONENT.fullmatch(part)), None)
    if wrong is None:
        return
    if not wrong:
        raise ReferenceProblem(
            "has an empty part in its name", hint="Remove the slash or colon that is too much."
        )
    if all(_COMPONENT.fullmatch(part.lower()) for part in components):
        raise _capitals(text, name)
    raise ReferenceProblem(
        f"has {wrong!r} in its name, which is no part of an image's name",
        hint="Write lower case letters and digits, with single dots or underscores, or dashes, between them.",
    )


def _capitals(text: str, name: str) -> ReferenceProblem:
    """Say how the name is written; a registry with a dot or a port may keep its capitals."""
    first, slash, rest = name.partition("/")
    host = first if slash and any(sign in first for sign in ".:[") else first.lower()
    return ReferenceProblem(
        "has capitals in its name", hint=f"Write {host}{slash}{rest.lower()}{text[len(name) :]}."
    )


def _check_digest(digest: str) -> None:
    algorithm, _, value = digest.partition(":")
    length = DIGEST_LENGTHS.get(algorithm)
    if length is None:
        raise ReferenceProblem(
            f"has a digest of unknown kind {algorithm!r}", hint="Write @sha256: and 64 hexadecimal digits."
        )
    if not re.fullmatch(rf"[0-9a-f]{{{length}}}", value):
        raise ReferenceProblem(
            f"has a {algorithm} digest of {len(value)} characters, not {length} lower case hex digits",
            hint="Copy the whole digest.",
        )
