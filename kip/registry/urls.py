"""Addresses on the web, and where one host may send us. Pure."""

from urllib.parse import urljoin, urlsplit


def host_of(url: str) -> str:
    """Return `host` or `host:port`, as it stands in the URL."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what a credential belongs to. Raise ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def redirected(url: str, location: str, insecure: frozenset[str]) -> str:
    """Return where a redirect leads, an empty string where kip does not follow.

    On the same host it follows, to any other by TLS, and by plain HTTP to those in `insecure`.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        same = origin_of(target) == origin_of(url)
    except ValueError:
        return ""
    if not location or not parts.hostname or "@" in parts.netloc:
        return ""
    plain = parts.scheme == "http" and parts.netloc.lower() in insecure
    return target if same or plain or parts.scheme == "https" else ""
