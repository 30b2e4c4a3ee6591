"""Keep passwords and tokens out of what people and programs are told."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_USER = r"(?<![^\s/@:=;,'\"])[^\s/@:=;,'\"]{1,100}"

_KEY = r"(?:(?:identity|registry|access|refresh)?_?token|auth|password|passwd|sig(?:nature)?|x-amz-signature)"

_SECRETS = (
    # user:password@host, in an address as well as in a reference; not the tag before a digest. The lengths
    # are bounded, so that a long text of anything is read in time.
    re.compile(_USER + r":(?P<secret>[^\s/@'\"]{1,200})@(?!sha\d+[:+])(?=[\w\[])"),
    # The keys of a pull secret, of a YAML or JSON value, of a query.
    re.compile(rf"(?i)(?<![\w-]){_KEY}(?:\\*[\"']\s*:|\s*=)\s*\\*[\"']?(?P<secret>[^\s\"',;}}&\\]+)"),
    re.compile(rf"(?im)^\s*{_KEY}:\s+[\"']?(?P<secret>[^\s\"',;}}&]+)"),
    # A pull secret as it stands in its Secret: base64 of {"auths...
    re.compile(r"(?P<secret>eyJhdXRocyI[\w+/=]+)"),
    re.compile(r"(?i)\b(?:basic|bearer)\s+(?P<secret>[a-z0-9+/=._~-]{6,})"),
)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""


def secrets_in(text: str) -> Iterator[str]:
    """Yield what looks like a password or a token."""
    return (match["secret"] for pattern in _SECRETS for match in pattern.finditer(text))


def redacted(text: str) -> str:
    """Return the text without what looks like a password or a token.

    >>> redacted("bob:hunter2@registry.example/ide:1.0")
    'bob:***@registry.example/ide:1.0'
    >>> redacted("registry.example/ide:1.0@sha256:00ff")
    'registry.example/ide:1.0@sha256:00ff'
    """
    for pattern in _SECRETS:
        text = pattern.sub(_without, text)
    return text


@lru_cache(maxsize=1024)
def shown(text: str) -> str:
    r"""Return somebody else's words as people may be shown them: no secrets, nothing that steers a terminal.

    >>> shown("\x1b[2Jdial tcp: bob:hunter2@registry.example")
    '�[2Jdial tcp: bob:***@registry.example'
    """
    return _STEERING.sub("\ufffd", redacted(text))


def redact(value: Any) -> Any:
    """Return a log value with its strings redacted, at any depth of lists and mappings."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _without(match: re.Match[str]) -> str:
    start, end = (place - match.start() for place in match.span("secret"))
    return f"{match[0][:start]}***{match[0][end:]}"
