"""Over HTTP: the probes /livez and /readyz, each check with its reason, /metrics, and the status page.

Nothing can be changed over it: other methods than GET and HEAD are refused.
"""

import logging
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import waitress

from kip.errors import KipError
from kip.observe.health import Health, HealthCheck
from kip.observe.metrics import CONTENT_TYPE, Metrics
from kip.observe.page import Application, Page, Start
from kip.observe.page_state import PageState

METHODS = ("GET", "HEAD")


def serve(address: str, health: Health, metrics: Metrics, board: PageState) -> Any:
    """Listen on `address` (`host:port` or `:port`) in a thread of its own; return the server.

    Raises KipError when the address cannot be listened on.
    """
    try:
        listening = _listen(address)
    except OSError as error:
        raise KipError(
            f"HTTP_ADDRESS={address}: cannot listen there: {error.strerror or error}",
            hint="Choose a free port, or leave HTTP_ADDRESS empty to serve nothing.",
        ) from error
    return serve_on(listening, application(health, metrics, board))


def serve_on(listening: socket.socket, answer: Application) -> Any:
    """Serve an application in a thread of its own; return the server."""
    # A browser asks for several files at once, which is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = waitress.create_server(answer, sockets=[listening], threads=1, ident=None)
    threading.Thread(target=server.run, name="http", daemon=True).start()
    return server


def end(server: Any) -> None:
    """End a server in its own thread, which may be polling just now."""
    with suppress(OSError):  # so quickly that what woke it is closed already
        server.trigger.pull_trigger(server.close)


def _listen(address: str) -> socket.socket:
    """Return a socket that listens there; without a host, on all addresses of both IP versions."""
    host, _, port = address.rpartition(":")
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", int(port)))


def application(health: Health, metrics: Metrics, board: PageState) -> Application:
    """Return the WSGI application of a keeper."""
    probes, page = {"/livez": health.live, "/readyz": health.ready}, Page(board)

    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if (shown := page.answer(environ, start)) is not None:
            return shown
        path, kind = environ["PATH_INFO"], "text/plain; charset=utf-8"
        if path == "/metrics":
            status, body, kind = "200 OK", metrics.text(), CONTENT_TYPE
        elif path in probes:
            status, body = _verdict(probes[path]())
        else:
            status, body = "404 Not Found", b"there are /, /livez, /readyz and /metrics\n"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return reading_only(answer)


def reading_only(answer: Application) -> Application:
    """Return the application without any method that could change something."""

    def guarded(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in METHODS:
            return answer(environ, start)
        body = b"this is for reading: GET and HEAD\n"
        headers = [("Allow", ", ".join(METHODS)), ("Content-Type", "text/plain; charset=utf-8")]
        start("405 Method Not Allowed", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return guarded


def _verdict(checks: tuple[HealthCheck, ...]) -> tuple[str, bytes]:
    lines = [
        f"[{'-' if check.problem else '+'}] {check.name}: {check.problem or check.note or 'ok'}"
        for check in checks
    ]
    failed = any(check.problem for check in checks)
    return "503 Service Unavailable" if failed else "200 OK", ("\n".join(lines) + "\n").encode()
