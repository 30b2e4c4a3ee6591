"""`kip status --open`: the keeper's page, served on this machine, with the rights of whoever types it."""

import secrets
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from kip.cli.cache_reader import read_status
from kip.cli.wait_loop import PASSING, pace, pauses
from kip.cluster.api import Cluster
from kip.config.bootstrap import CacheRef
from kip.errors import KipError
from kip.log import configure
from kip.observe.page import Application, Page, Start
from kip.observe.page_state import PageState

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")
TOKEN_BYTES = 16


def show_page(cluster: Cluster, place: CacheRef) -> bool:
    """Serve the page until Ctrl-C, and open it in the browser; return whether the cache is complete then.

    The first look is made before: what is wrong with it is told where it was typed.
    """
    configure(level="error", stream=sys.stderr)
    matrix = read_status(cluster, place.namespace, place.daemonset_name)
    trouble: dict[str, str] = {}
    board = PageState(time.monotonic, lambda: dict(trouble), keeps_history=False)
    board.show(matrix)
    complete = matrix.complete
    with (
        _interrupted() as stopped,
        _served(board) as url,
        pauses(cluster, place.namespace, place.daemonset_name) as pause,
    ):
        try:
            click.echo(f"The page is at {url} until Ctrl-C.")
            webbrowser.open(url)
            cost = 0.0
            while not stopped.is_set():
                pause(*pace(cost))
                started = time.monotonic()
                try:
                    matrix = read_status(cluster, place.namespace, place.daemonset_name)
                except PASSING as error:
                    trouble["cluster"] = f"{error}; what is shown is old"
                except KipError as error:
                    board.hide(str(error))
                    trouble.clear()
                    complete = False
                else:
                    board.show(matrix)
                    trouble.clear()
                    complete = matrix.complete
                cost = time.monotonic() - started
        except KeyboardInterrupt:
            return complete
    return complete


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Give what tells that Ctrl-C was typed, also where it was ignored before, as in a script with `&`."""
    stopped = threading.Event()

    def stop(*_: object) -> NoReturn:
        stopped.set()
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _served(board: PageState) -> Iterator[str]:
    """Serve the board on this machine; give the page's address."""
    from kip.observe.http import end, reading_only, serve_on  # noqa: PLC0415 - only people pay for it

    listening = socket.create_server((LOOPBACK, 0))
    port, token = listening.getsockname()[1], secrets.token_urlsafe(TOKEN_BYTES)
    server = serve_on(listening, reading_only(only_here(Page(board), port, token)))
    try:
        yield f"http://{LOOPBACK}:{port}/{token}/"
    finally:
        end(server)


def only_here(page: Page, port: int, token: str) -> Application:
    """Return the application of the page, for the browser of one person.

    The Host header tells a page of the Internet whose name was made to point here. The token, first in the
    path, keeps out other people of the same machine.
    """
    hosts = {f"{name}:{port}" for name in NAMES}

    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        first, slash, rest = environ["PATH_INFO"].removeprefix("/").partition("/")
        known = secrets.compare_digest(first.encode(), token.encode())
        if known and slash and environ.get("HTTP_HOST") in hosts:
            inside = {**environ, "PATH_INFO": f"/{rest}"}
            if (shown := page.answer(inside, start)) is not None:
                return shown
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "0")])
        return []

    return answer
