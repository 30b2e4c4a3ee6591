"""A server on the wire: real HTTP on loopback, with answers that a test scripts."""

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """One answer: `body` is JSON unless it is bytes; with `drop` the connection ends without any."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    drop: bool = False
    hang: bool = False
    trickle: str = ""
    """`headers` or `body`: it comes byte by byte, and never ends."""


class Server:
    """Answers each request with the next scripted answer, and records it."""

    def __init__(self, answers: list[Answer]) -> None:
        self.requests: list[Request] = []
        self.released = threading.Event()
        self._answers = answers
        self._lock = threading.Lock()

    def script(self, *answers: Answer) -> None:
        """Add answers: those that hold the server's own URL."""
        with self._lock:
            self._answers += answers

    def take(self, request: Request) -> Answer:
        """Record a request and return its answer; without one left it is a 500."""
        with self._lock:
            self.requests.append(request)
            return self._answers.pop(0) if self._answers else Answer(500, b"nothing is scripted")


class _Http(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away or does not trust us: tests have such clients."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[Server, str]]:
    """Serve these answers, by TLS if there is a context for it; give the server and its URL."""
    server = Server(list(answers))
    http = _Http(("127.0.0.1", 0), _handler(server))
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"{'https' if tls else 'http'}://127.0.0.1:{http.server_address[1]}"
    finally:
        server.released.set()
        http.shutdown()
        http.server_close()
        thread.join()


def status_of(code: int, message: str = "because", **details: Any) -> Answer:
    """Return a refusal as the API server words it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": "Reason",
        "code": code,
    }
    return Answer(code, body | ({"details": details} if details else {}))


def _handler(server: Server) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            parts = urlsplit(self.path)
            body = json.loads(text) if text else None
            answer = server.take(
                Request(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), body)
            )
            if answer.hang:
                server.released.wait(30)
            if answer.hang or answer.drop:
                self.close_connection = True
                return
            if answer.trickle:
                _trickle(self, answer, server.released)
                return
            _write(self, answer)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _serve  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _trickle(handler: BaseHTTPRequestHandler, answer: Answer, released: threading.Event) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    if answer.trickle == "body":
        handler.wfile.write(b"Content-Length: 1000000\r\n\r\n")
    while not released.wait(0.02):
        handler.wfile.write(b"x")


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    if answer.chunks:
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in answer.chunks:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n")
        return
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
