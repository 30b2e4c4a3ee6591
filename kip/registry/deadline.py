"""A deadline for an answer as a whole.

The timeout of `requests` counts from one byte to the next: a host that sends its answer byte by byte, headers
or body, would be listened to for ever.
"""

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_current: ContextVar["Deadline | None"] = ContextVar("deadline", default=None)


class Deadline:
    """Hangs up after so many seconds, if the answer that is awaited in this thread has not ended by then.

    `over` tells whether it did. What is read after that ends at once, as if the host had hung up.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Begin to count."""
        self._token = _current.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it: the answer is there."""
        self._timer.cancel()
        _current.reset(self._token)

    def watch(self, connection: Any) -> None:
        """Note over what the answer comes: a socket, or what wraps one (TLS within TLS)."""
        with self._lock:
            self._socket = getattr(connection, "socket", connection)
        if self.over:
            self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            self.over = True
            if self._socket:
                # Not the method of a TLS socket: that is not made for another thread than the one that reads.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Watched(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        # From here on, as a proxy answers before anything is asked for.
        if deadline := _current.get():
            deadline.watch(connection)
        return connection

    def _tunnel(self) -> None:
        super()._tunnel()
        if (deadline := _current.get()) and deadline.over:
            raise TimeoutError  # what the proxy had said by then looks like its consent

    def getresponse(self) -> Any:
        if deadline := _current.get():
            deadline.watch(self.sock)
        return super().getresponse()


class _WatchedByTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolByTls(HTTPSConnectionPool):
    ConnectionCls = _WatchedByTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _watch(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return _watch(super().proxy_manager_for(*arguments, **options))


def _watch(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolByTls}
    return manager


def mount(session: requests.Session) -> None:
    """Have the answers of this session end with the `Deadline` that is entered where they are awaited."""
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter())
