"""The status page over HTTP: its files, and what it shows as /page.json. Nothing here changes anything."""

import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from kip.observe.page_state import PageState

Start = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]

JSON = "application/json"
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # A browser that knows this one refuses any text as markup, also by a mistake in the page's scripts.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    # Kept by the browser, and asked for each time whether it is still the newest.
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept-Encoding"),
]
AGE = "Kip-Age"
"""Header: seconds since the last look at the cache. In the document it would make each answer a new one."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent for one path, plain and compressed, made once."""

    kind: str
    plain: bytes
    packed: bytes
    tag: str

    def answer(self, environ: dict[str, Any], start: Start, *more: tuple[str, str]) -> list[bytes]:
        """Answer a request with it, or with 304 where the asker has it already."""
        packed = _takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))
        tag = f'"{self.tag}-gzip"' if packed else f'"{self.tag}"'
        headers = [*HEADERS, ("ETag", tag), *more]
        if _knows(environ.get("HTTP_IF_NONE_MATCH", ""), tag):
            start("304 Not Modified", headers)
            return []
        body = self.packed if packed else self.plain
        headers += [("Content-Type", self.kind), ("Content-Length", str(len(body)))]
        if packed:
            headers.append(("Content-Encoding", "gzip"))
        start("200 OK", headers)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def content(kind: str, plain: bytes) -> Content:
    """Return what to send of these bytes."""
    tag = hashlib.sha256(plain).hexdigest()[:32]
    return Content(kind, plain, gzip.compress(plain, mtime=0), tag)


class Page:
    """The page of one board. `answer` knows its own paths only."""

    def __init__(self, board: PageState) -> None:
        self._board = board
        self._files = {f"/page/{name}": content(kind, data) for name, kind, data in _read_files()}
        self._files["/"] = self._files.pop("/page/index.html")
        self._content = content(JSON, b"")

    def answer(self, environ: dict[str, Any], start: Start) -> list[bytes] | None:
        """Answer a request, None where the path is not the page's."""
        path = environ["PATH_INFO"]
        if path == "/page.json":
            age = self._board.age
            return self._newest().answer(environ, start, (AGE, "" if age is None else f"{age:.0f}"))
        found = self._files.get(path)
        return found.answer(environ, start) if found else None

    def _newest(self) -> Content:
        encoded, found = self._board.encoded(), self._content
        if encoded is not found.plain:
            found = self._content = content(JSON, encoded)
        return found


def _read_files() -> Iterable[tuple[str, str, bytes]]:
    for file in files("kip.observe").joinpath("static").iterdir():
        yield file.name, KINDS[file.name.rpartition(".")[2]], file.read_bytes()


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _knows(tags: str, tag: str) -> bool:
    known = {found.strip().removeprefix("W/") for found in tags.split(",")}
    return bool({tag, "*"} & known)
