"""The probes: what they say, and that they are served."""

import socket
from urllib.request import urlopen

import pytest

from kip.errors import KipError
from kip.observe.health import Health
from kip.observe.http import application, end, serve
from kip.observe.metrics import Metrics
from kip.observe.page_state import PageState


def health(age: float = 0.0, settings: str = "", reconcile: str = "", standby: str = "") -> Health:
    return Health(lambda: 100.0, 60.0, 100.0 - age, settings, reconcile, standby)


def asked(path: str, state: Health, method: str = "GET") -> tuple[str, str]:
    """Return status line and body."""
    lines: list[str] = []
    answer = application(state, Metrics(), PageState(lambda: 0.0))
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    body = answer(environ, lambda status, _headers: lines.append(status))
    return lines[0], b"".join(body).decode()


@pytest.mark.parametrize(
    ("path", "state", "status", "text"),
    [
        ("/livez", health(), "200 OK", "[+] loop: ok\n"),
        (
            "/livez",
            health(age=61),
            "503 Service Unavailable",
            "[-] loop: last went round 61 s ago, limit 60 s\n",
        ),
        ("/livez", health(settings="bad", reconcile="down"), "200 OK", "[+] loop: ok\n"),
        ("/readyz", health(), "200 OK", "[+] settings: ok\n[+] reconcile: ok\n"),
        (
            "/readyz",
            health(settings="bad"),
            "503 Service Unavailable",
            "[-] settings: bad\n[+] reconcile: ok\n",
        ),
        (
            "/readyz",
            health(reconcile="down"),
            "503 Service Unavailable",
            "[+] settings: ok\n[-] reconcile: down\n",
        ),
        (
            "/readyz",
            health(standby="standby: other holds the lease"),
            "200 OK",
            "[+] settings: ok\n[+] reconcile: standby: other holds the lease\n",
        ),
        (
            "/readyz",
            health(reconcile="down", standby="standby: other holds the lease"),
            "503 Service Unavailable",
            "[+] settings: ok\n[-] reconcile: down\n",
        ),
        ("/nowhere", health(), "404 Not Found", "there are /, /livez, /readyz and /metrics\n"),
        ("/page/../metrics", health(), "404 Not Found", "there are /, /livez, /readyz and /metrics\n"),
    ],
)
def test_each_check_is_named_with_its_reason(path, state, status, text):
    assert asked(path, state) == (status, text)


def test_before_the_first_reconcile_it_is_not_ready():
    assert asked("/readyz", Health(lambda: 0.0, 60.0, 0.0))[0] == "503 Service Unavailable"


def test_a_sign_of_life_makes_it_live_again():
    state = health(age=61)
    state.tick()
    assert asked("/livez", state)[0] == "200 OK"


def test_the_probes_are_served():
    server = serve("127.0.0.1:0", health(), Metrics(), PageState(lambda: 0.0))
    try:
        port = server.effective_port
        with urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            assert answer.read() == b"[+] loop: ok\n"
    finally:
        end(server)


def test_an_address_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(KipError, match=f"HTTP_ADDRESS=127.0.0.1:{port}"):
            serve(f"127.0.0.1:{port}", health(), Metrics(), PageState(lambda: 0.0))


def test_metrics_are_served_beside_the_probes():
    assert "kip_build_info" in asked("/metrics", health())[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/page.json", "/livez", "/metrics", "/nowhere"])
def test_nothing_is_written_over_http(path, method):
    assert asked(path, health(), method) == (
        "405 Method Not Allowed",
        "this is for reading: GET and HEAD\n",
    )


@pytest.mark.parametrize("path", ["/", "/page.json", "/page/main.js", "/livez", "/metrics"])
def test_the_answer_to_head_has_no_body(path):
    assert asked(path, health(), "HEAD") == ("200 OK", "")


def test_problems_are_named_by_their_check():
    assert health(age=61, settings="bad").problems() == {
        "loop": "last went round 61 s ago, limit 60 s",
        "settings": "bad",
    }
