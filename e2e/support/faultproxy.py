"""A reverse proxy before the real API server, whose faults a test switches on and off while a keeper runs.

It passes on what comes and what is answered, watches line by line, and records every request. A fault
replaces the answers of the requests that it is for, so often or until it is switched off.
"""

import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

HOST = "127.0.0.1"
UPSTREAM_SECONDS = 400.0
"""Longer than any watch lasts."""

NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Request:
    """A request as it came, and how it was answered: `status` 0 is not at all.

    `method` is empty for a connection that ended before a request, as one whose certificate is not liked.
    """

    at: float
    method: str = ""
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    token: str = ""
    status: int = 0

    @property
    def watches(self) -> bool:
        """Whether it opens a watch."""
        return self.query.get("watch") == "true"

    @property
    def writes(self) -> bool:
        """Whether it changes an object, or would but for its dry run."""
        return self.method != "GET" and "selfsubject" not in self.path


@dataclass(frozen=True)
class Answer:
    """Answer so, in place of the API server."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Answer a watch with these bytes, and end it properly."""

    body: bytes = b""


@dataclass(frozen=True)
class Cut:
    """Pass a watch on, but of its next line only the half; then break off, or end properly."""

    properly: bool = False


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True)
class Hang:
    """Accept, and neither answer nor close until the fault is switched off; open watches freeze."""


Fault = Answer | Stream | Cut | Drop | Hang


def status(code: int, reason: str = "Because", **headers: str) -> Answer:
    """Return a refusal as the API server words it; `Retry_After="3"` becomes a header."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    body["message"] = f"made up by the test: {code}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(code, json.dumps(body).encode(), headers=named)


def page(code: int) -> Answer:
    """Return the HTML page of some other proxy."""
    return Answer(code, b"<html>\n<body>Please stand by\n</body></html>\n", "text/html")


def error_event(code: int) -> Stream:
    """Return a watch that says ERROR, as for a version that is too old."""
    found = {"kind": "Status", "code": code, "reason": "Expired", "message": "made up by the test"}
    return Stream(json.dumps({"type": "ERROR", "object": found}).encode() + b"\n")


@dataclass
class Switch:
    """A fault that is on. `left` is for how many more requests, None for any number."""

    fault: Fault
    where: Callable[[Request], bool]
    left: int | None
    off: threading.Event = field(default_factory=threading.Event)
    hits: int = 0


class FaultProxy:
    """The proxy in front of the API server that a kubeconfig names; `with` starts and ends it.

    `folder` takes its certificates.
    """

    def __init__(self, kubeconfig: str, folder: Path) -> None:
        cluster = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]
        parts = urlsplit(cluster["server"])
        self._upstream = (parts.hostname or "", parts.port or 443)
        authority = b64decode(cluster["certificate-authority-data"]).decode()
        self._upstream_tls = ssl.create_default_context(cadata=authority)
        self.certificate = _certificate(folder / "proxy")
        self.other_certificate = _certificate(folder / "other")
        self._tls = _serving(self.certificate)
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._switches: list[Switch] = []
        self._sockets: set[socket.socket] = set()
        self._watched: list[Request] = []
        self._http = _Server(self, (HOST, 0))
        self.port = self._http.server_address[1]

    def __enter__(self) -> Self:
        """Start it."""
        self._http.begin()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and all that hangs."""
        for switch in self._switches:
            switch.off.set()
        self._http.end()
        self.break_connections()

    def lead(self, kubeconfig: Path, certificate: Path | None = None) -> None:
        """Let a kubeconfig lead to the proxy, with this certificate as its authority."""
        config = yaml.safe_load(kubeconfig.read_text("utf-8"))
        authority = (certificate or self.certificate).read_bytes()
        config["clusters"][0]["cluster"] = {
            "server": f"https://{HOST}:{self.port}",
            "certificate-authority-data": b64encode(authority).decode(),
        }
        kubeconfig.write_text(yaml.safe_dump(config), "utf-8")

    @property
    def requests(self) -> list[Request]:
        """Return all requests so far, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    @property
    def watched(self) -> list[Request]:
        """Return the requests of the watches that are open and passed on now."""
        with self._lock:
            return list(self._watched)

    # Faults

    @contextmanager
    def fault(
        self, fault: Fault, where: Callable[[Request], bool] = lambda _: True, *, times: int | None = None
    ) -> Iterator[Switch]:
        """Have this fault for the requests that `where` says, at most so often."""
        switch = Switch(fault, where, times)
        with self._lock:
            self._switches.append(switch)
        try:
            yield switch
        finally:
            with self._lock:
                self._switches.remove(switch)
            switch.off.set()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections, and break those there are."""
        self._http.end()
        # A socket that is bound but does not listen keeps the port, and refuses.
        self._http = _Server(self, (HOST, self.port))
        self.break_connections()
        try:
            yield
        finally:
            self._http.begin()

    @contextmanager
    def unknown_certificate(self) -> Iterator[None]:
        """Show the other certificate on all new connections, and break those there are."""
        self._tls = _serving(self.other_certificate)
        self.break_connections()
        try:
            yield
        finally:
            self._tls = _serving(self.certificate)
            self.break_connections()

    def break_connections(self) -> None:
        """Break all connections, in the middle of whatever they do."""
        with self._lock:
            sockets = list(self._sockets)
        for found in sockets:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def ask(self, path: str, token: str) -> int:
        """Ask the API server itself, and return the status of its answer."""
        upstream = self.upstream()
        try:
            upstream.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            return upstream.getresponse().status
        finally:
            upstream.close()

    # What the handlers need

    def record(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self._requests.append(request)

    @contextmanager
    def watching(self, request: Request) -> Iterator[None]:
        """Count a watch as open."""
        with self._lock:
            self._watched.append(request)
        try:
            yield
        finally:
            with self._lock:
                self._watched.remove(request)

    @contextmanager
    def breakable(self, connection: socket.socket) -> Iterator[None]:
        """Let `break_connections` know of a connection."""
        with self._lock:
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)

    def secure(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands with a client."""
        return self._tls.wrap_socket(connection, server_side=True)

    def matching(self, request: Request, *kinds: type[Fault]) -> Switch | None:
        """Return the fault that is on for a request, of these kinds."""
        with self._lock:
            for switch in self._switches:
                if isinstance(switch.fault, kinds) and switch.left != 0 and switch.where(request):
                    switch.hits += 1
                    switch.left = switch.left - 1 if switch.left else switch.left
                    return switch
        return None

    def upstream(self) -> http.client.HTTPSConnection:
        """Return a new connection to the API server."""
        host, port = self._upstream
        return http.client.HTTPSConnection(host, port, timeout=UPSTREAM_SECONDS, context=self._upstream_tls)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultProxy, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler, bind_and_activate=False)
        self.proxy = proxy
        self.server_bind()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def begin(self) -> None:
        self.server_activate()
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            with self.proxy.secure(request) as connection, self.proxy.breakable(connection):
                super().finish_request(connection, client_address)
        except ssl.SSLError:
            self.proxy.record(Request(time.monotonic()))

    def handle_error(self, *_: object) -> None:
        """Pass over connections that break: that is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        token = self.headers.get("Authorization", "").partition(" ")[2]
        request = Request(time.monotonic(), self.command, parts.path, query, token)
        switch = self.server.proxy.matching(request, Answer, Stream, Drop, Hang)
        match switch.fault if switch else None:
            case Answer() as answer:
                self._answer(request, answer)
            case Stream(sent):
                self._stream_begins(request, 200, {"Content-Type": "application/json"})
                self._chunk(sent)
                self.wfile.write(b"0\r\n\r\n")
            case Drop() | Hang() as fault:
                self.server.proxy.record(request)
                self.close_connection = True
                if isinstance(fault, Hang):
                    switch.off.wait()
            case None:
                self._pass_on(request, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _pass_on(self, request: Request, body: bytes) -> None:
        upstream = self.server.proxy.upstream()
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            upstream.request(self.command, self.path, body or None, headers)
            with self.server.proxy.breakable(upstream.sock):
                answer = upstream.getresponse()
                if request.watches and answer.status == HTTPStatus.OK:
                    with self.server.proxy.watching(request):
                        self._pass_on_lines(request, answer)
                else:
                    kind = answer.headers.get("Content-Type", "")
                    self._answer(request, Answer(answer.status, answer.read(), kind, _passed_on(answer)))
        except (OSError, http.client.HTTPException):
            # The API server is away: so is the proxy, then.
            self.close_connection = True
            self.server.proxy.record(request)
        finally:
            upstream.close()

    def _pass_on_lines(self, request: Request, answer: http.client.HTTPResponse) -> None:
        headers = {"Content-Type": answer.headers.get("Content-Type", ""), **_passed_on(answer)}
        self._stream_begins(request, answer.status, headers)
        for line in answer:
            switch = self.server.proxy.matching(request, Cut, Hang)
            if switch is None:
                self._chunk(line)
                continue
            self.close_connection = True
            match switch.fault:
                case Hang():
                    switch.off.wait()
                    return
                case Cut(properly):
                    self._chunk(line[: len(line) // 2])
                    if not properly:
                        return
                    break
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, request: Request, answer: Answer) -> None:
        self.server.proxy.record(replace(request, status=answer.status))
        self.send_response(answer.status)
        headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream_begins(self, request: Request, code: int, headers: dict[str, str]) -> None:
        self.server.proxy.record(replace(request, status=code))
        self.send_response(code)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        pass


def _passed_on(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in answer.headers.items()
        if name.lower() not in {*NOT_PASSED_ON, "content-type"}
    }


def _certificate(path: Path) -> Path:
    """Make a certificate for this machine that is its own authority, with its key in the same file."""
    subject = ("-subj", "/CN=fault proxy", "-addext", f"subjectAltName=IP:{HOST}")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{path}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *subject, *key, "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    return path.with_suffix(".crt")


def _serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context
