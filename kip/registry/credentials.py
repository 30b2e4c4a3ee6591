"""Credentials of registries: read from pull secrets, and found for an image as the kubelet finds them.

Source: k8s.io/kubernetes/pkg/credentialprovider (config.go, keyring.go, secrets/secrets.go). Unlike there, a
path ends at a slash (`quay.io/co` says nothing about `quay.io/coreos/etcd`), and only the best match is used.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from kip.config.diagnostics import Unreadable
from kip.config.references import DEFAULT_DOMAIN, Reference

_FORMS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
"""The types of pull secrets, and the key under which each has its text."""

DOCKER_HUB = "index.docker.io"
"""The host under which `docker login` files the credentials of docker.io."""

_API_VERSION = re.compile(r"v[12]/")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user of one registry, or of a part of it.

    `registry` is `host` or `host:port`, its parts may be globs (`*.example.com`); `path` has no slash at its
    ends and is empty for the whole registry.
    """

    registry: str
    path: str
    username: str = field(repr=False)
    password: str = field(repr=False)


def read_pull_secret(secret: dict[str, Any]) -> tuple[Credential, ...]:
    """Return the credentials of a Secret as the API server hands it out; none of a Secret of another type.

    Raise `Unreadable`, without any of the values, when the kubelet could not read it either.
    """
    key = _FORMS.get(secret.get("type", ""))
    text = (secret.get("data") or {}).get(key)
    if not key or not text:
        return ()
    metadata = secret.get("metadata", {})
    place = f"Secret {metadata.get('namespace', '')}/{metadata.get('name', '')}: {key}"
    try:
        config = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, RecursionError):
        raise _unreadable(f"{place} is not JSON in base64") from None
    entries = config.get("auths") if isinstance(config, dict) and key == ".dockerconfigjson" else config
    if entries is None:
        return ()
    if not isinstance(entries, dict):
        raise _unreadable(f"{place} has no mapping of registries")
    found = (_credential(place, address, entry) for address, entry in entries.items())
    return tuple(credential for credential in found if credential)


def find(credentials: Sequence[Credential], reference: Reference) -> Credential | None:
    """Return the credential to pull `reference` with: of the longest path, and then of the exact host."""
    matching = [credential for credential in credentials if _matches(credential, reference)]
    return max(matching, key=_precision, default=None)


def _credential(place: str, address: str, entry: Any) -> Credential | None:
    """Return the credential of one entry; None if it has none (a credential helper, for example)."""
    if not isinstance(entry, dict):
        raise _unreadable(f"{place} has no mapping for {address}")
    username, password = entry.get("username") or "", entry.get("password") or ""
    if auth := entry.get("auth"):
        try:
            decoded = base64.b64decode(auth.strip() + "=" * (-len(auth.strip()) % 4), validate=True).decode()
        except (AttributeError, ValueError):
            raise _unreadable(f"{place} has an auth for {address} that is not base64") from None
        username, colon, password = decoded.partition(":")
        if not colon:
            raise _unreadable(f"{place} has an auth for {address} that is not username:password")
    if not (isinstance(username, str) and isinstance(password, str)):
        raise _unreadable(f"{place} has a username or password for {address} that is no text")
    host, _, path = re.sub(r"^https?://", "", address).partition("/")
    path = _API_VERSION.sub("", path, count=1) if _API_VERSION.match(path) else path
    return Credential(host, path.strip("/"), username, password) if username or password else None


def _matches(credential: Credential, reference: Reference) -> bool:
    if credential.registry == DOCKER_HUB:
        return reference.domain == DEFAULT_DOMAIN and not credential.path
    inside = not credential.path or f"{reference.path}/".startswith(f"{credential.path}/")
    return inside and (
        credential.registry == reference.domain
        or _fits(_split(credential.registry), _split(reference.domain))
    )


def _fits(globs: tuple[list[str], str], given: tuple[list[str], str]) -> bool:
    same_form = globs[1] == given[1] and len(globs[0]) == len(given[0])
    return same_form and all(fnmatchcase(part, glob) for glob, part in zip(globs[0], given[0], strict=True))


def _split(registry: str) -> tuple[list[str], str]:
    """Return the parts of the host, and the port."""
    host, _, port = registry.rpartition(":") if re.search(r":\d+$", registry) else (registry, "", "")
    return host.split("."), port


def _precision(credential: Credential) -> tuple[int, bool, bool, int]:
    exact = not any(sign in credential.registry for sign in "*?[")
    return len(credential.path), credential.registry != DOCKER_HUB, exact, len(credential.registry)


def _unreadable(message: str) -> Unreadable:
    return Unreadable(
        message, hint="Make it anew: kubectl create secret docker-registry NAME --docker-server=..."
    )
