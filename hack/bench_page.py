"""What the status page costs at 5,000 nodes x 30 images: memory, sizes, times. `make bench` prints it too.

Times are the least of several rounds, as noise only adds; in a process of its own, so that memory is its.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from page_scenes import served, thousands

from kip.core.status.page_document import page_document
from kip.observe.page_state import PageState

ROUNDS = 7
NOT_MODIFIED = 304
KB, MS = 1000, 1000
MIB = 1024**2


def main() -> None:
    """Measure, and print the figures as JSON: name, value, unit, budget."""
    print(json.dumps(list(figures())))


def figures() -> Iterator[tuple[str, float, str, float | None]]:
    """Measure."""
    what = "page, 5,000 nodes x 30 images"
    tracemalloc.start()
    matrix = thousands()
    gc.collect()
    yield f"{what}: memory of the matrix", tracemalloc.get_traced_memory()[0] / MIB, "MiB", 100
    board, before = PageState(time.monotonic), tracemalloc.get_traced_memory()[0]
    board.show(matrix)
    board.encoded()
    gc.collect()
    yield f"{what}: memory of the document", (tracemalloc.get_traced_memory()[0] - before) / MIB, "MiB", 5
    tracemalloc.stop()
    yield f"{what}: making the document", least(lambda: page_document(matrix)) * MS, "ms", None
    document = board.document()
    yield f"{what}: encoding it", least(lambda: json.dumps(document)) * MS, "ms", None
    with served(board) as url:
        address = f"{url}page.json"
        yield f"{what}: document", len(ask(address)[1]) / KB, "kB", None
        tag, packed = ask(address, gzip="gzip")
        yield f"{what}: document, gzip", len(packed) / KB, "kB", 300
        yield f"{what}: response, new", least(lambda: ask(address, gzip="gzip")) * MS, "ms", 50
        yield f"{what}: response, 304", least(lambda: ask(address, tag=tag, gzip="gzip")) * MS, "ms", 20


def ask(address: str, *, tag: str = "", gzip: str = "") -> tuple[str, bytes]:
    """Return tag and body."""
    headers = {"Accept-Encoding": gzip, "If-None-Match": tag}
    try:
        with urlopen(Request(address, headers=headers), timeout=60) as answer:  # noqa: S310 - plain http to ourselves
            return answer.headers["ETag"], answer.read()
    except HTTPError as error:
        if error.code != NOT_MODIFIED:
            raise
        with error:
            return error.headers["ETag"], b""


def least(work: Callable[[], object]) -> float:
    """Return the least seconds that it takes."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
