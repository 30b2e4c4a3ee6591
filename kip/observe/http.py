"""The probes over HTTP: /livez and /readyz, each check by name with its reason."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import waitress

from kip.errors import KipError
from kip.observe.health import Check, Health

Start = Callable[[str, list[tuple[str, str]]], Any]


def serve(address: str, health: Health) -> Any:
    """Listen on `address` (`host:port` or `:port`) in a thread of its own; return the server.

    Raises KipError when the address cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    try:
        server = waitress.create_server(
            application(health), host=host.strip("[]") or "*", port=int(port), threads=1, ident=None
        )
    except OSError as error:
        raise KipError(
            f"HTTP_ADDRESS={address}: cannot listen there: {error}",
            hint="Choose a free port, or leave HTTP_ADDRESS empty to serve nothing.",
        ) from error
    threading.Thread(target=server.run, name="http", daemon=True).start()
    return server


def application(health: Health) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    """Return the WSGI application."""
    probes = {"/livez": health.live, "/readyz": health.ready}

    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            status, body = "404 Not Found", "there are /livez and /readyz\n"
        else:
            status, body = _verdict(probe())
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start(status, headers)
        return [body.encode()]

    return answer


def _verdict(checks: tuple[Check, ...]) -> tuple[str, str]:
    lines = [f"[{'-' if check.problem else '+'}] {check.name}: {check.problem or 'ok'}" for check in checks]
    failed = any(check.problem for check in checks)
    return "503 Service Unavailable" if failed else "200 OK", "\n".join(lines) + "\n"
