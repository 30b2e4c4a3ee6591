"""What registries and token services answer, read into kip's own words. Pure.

Sources: OCI distribution-spec (digests), docs.docker.com/registry/spec/auth/token (challenges and tokens),
RFC 9110 (Retry-After).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from kip.config.references import is_digest

LONGEST_WAIT_SECONDS = 6 * 3600.0
"""Docker Hub counts pulls over six hours; who asks for more patience has probably sent a point in time."""

TOKEN_SECONDS = 60.0
"""How long a token is valid that does not say so."""

_PARTS = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([\w-]+)')
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to be authorized. `scheme` is `bearer` or `basic`, `realm` is the URL of the token service."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, and for how many seconds it is valid."""

    text: str = field(repr=False)
    seconds: float = TOKEN_SECONDS


def read_challenge(header: str) -> Challenge | None:
    """Return what WWW-Authenticate asks for: a bearer token before a password, None if it is neither."""
    found: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for name, quoted, plain, scheme in _PARTS.findall(header):
        if scheme:
            fields = found.setdefault(scheme.lower(), {})
        else:
            fields[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or plain
    bearer = found.get("bearer", {})
    if bearer.get("realm"):
        return Challenge("bearer", bearer["realm"], bearer.get("service", ""), bearer.get("scope", ""))
    return Challenge("basic") if "basic" in found else None


def read_token(body: bytes) -> Token | None:
    """Return the token of a token service's answer, None if there is none that a header can carry."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    text, seconds = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        return None
    return Token(text, float(seconds) if isinstance(seconds, int | float) and seconds > 0 else TOKEN_SECONDS)


def read_digest(headers: Mapping[str, str]) -> str:
    """Return the digest that the registry names, empty if it names none."""
    digest = headers.get("Docker-Content-Digest", "").strip()
    return digest if is_digest(digest) else ""


def read_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After, None without any. A date counts from the answer's own date."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,15}", text):
        return min(float(text), LONGEST_WAIT_SECONDS)
    try:
        seconds = (
            parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
        ).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
