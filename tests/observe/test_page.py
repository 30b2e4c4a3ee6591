"""The page over HTTP: what a browser may do with it, and how little is sent when nothing is new."""

import gzip
import json
from importlib.resources import files

import pytest
from fakes import Clock
from page_scenes import complete, few, thousands

from kip.observe.page import POLICY, Page
from kip.observe.page_state import PageState


class Asked:
    """Answers of one page."""

    def __init__(self, board: PageState | None = None) -> None:
        self.board = board or PageState(Clock())
        self.page = Page(self.board)

    def __call__(self, path: str, method: str = "GET", **headers: str) -> tuple[str, dict[str, str], bytes]:
        told: list = []
        environ = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method,
            **{f"HTTP_{k}": v for k, v in headers.items()},
        }
        body = self.page.answer(environ, lambda *given: told.extend(given))
        return told[0], dict(told[1]), b"".join(body)


STATIC = sorted(file.name for file in files("kip.observe").joinpath("static").iterdir())
PATHS = ["/", "/page.json", *(f"/page/{name}" for name in STATIC if name != "index.html")]


@pytest.mark.parametrize("path", PATHS)
def test_every_part_is_sent_with_the_policy(path):
    status, headers, body = Asked()(path)
    assert (status, headers["Content-Security-Policy"]) == ("200 OK", POLICY)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Length"] == str(len(body)) != "0"


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline():
    sources = {part.split()[0]: part.split()[1:] for part in POLICY.split("; ")}
    assert sources["default-src"] == ["'none'"]
    assert {source for name, some in sources.items() if name.endswith("-src") for source in some} == {
        "'self'",
        "'none'",
    }


@pytest.mark.parametrize("name", STATIC)
def test_no_file_names_another_host(name):
    text = files("kip.observe").joinpath("static", name).read_text("utf-8")
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_addresses_are_relative_so_that_a_proxy_may_put_a_path_before_them():
    html = files("kip.observe").joinpath("static", "index.html").read_text("utf-8")
    assert 'src="/' not in html
    assert 'href="/' not in html


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["gzip", ""])
def test_what_is_known_is_not_sent_again(path, encoding):
    asked = Asked()
    tag = asked(path, ACCEPT_ENCODING=encoding)[1]["ETag"]
    status, headers, body = asked(path, ACCEPT_ENCODING=encoding, IF_NONE_MATCH=f'"other", W/{tag}')
    assert (status, headers["ETag"], body) == ("304 Not Modified", tag, b"")


def test_a_change_is_sent():
    asked = Asked()
    asked.board.show(few())
    tag = asked("/page.json")[1]["ETag"]
    asked.board.show(complete())
    status, headers, body = asked("/page.json", IF_NONE_MATCH=tag)
    assert (status, headers["ETag"] != tag, json.loads(body)["matrix"]["state"]) == (
        "200 OK",
        True,
        "complete",
    )


def test_another_look_that_finds_the_same_is_no_change():
    asked = Asked()
    asked.board.show(few())
    tag = asked("/page.json")[1]["ETag"]
    asked.board.clock.seconds = 5.0
    asked.board.show(few())
    assert asked("/page.json", IF_NONE_MATCH=tag)[0] == "304 Not Modified"


def test_it_is_encoded_once_for_all_who_ask(mocker):
    asked = Asked()
    asked.board.show(few())
    asked("/page.json")
    packed = mocker.patch("gzip.compress")
    dumped = mocker.patch("json.dumps")
    asked("/page.json", ACCEPT_ENCODING="gzip")
    assert (packed.called, dumped.called) == (False, False)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
    ],
)
def test_it_is_compressed_for_those_who_take_it(accepted, packed):
    _, headers, body = Asked()("/page.json", ACCEPT_ENCODING=accepted)
    assert ("Content-Encoding" in headers, headers["Vary"]) == (packed, "Accept-Encoding")
    assert json.loads(gzip.decompress(body) if packed else body)["matrix"] is None


def test_each_encoding_has_a_tag_of_its_own():
    asked = Asked()
    assert asked("/")[1]["ETag"] != asked("/", ACCEPT_ENCODING="gzip")[1]["ETag"]


@pytest.mark.parametrize(("looked", "age"), [(False, ""), (True, "7")])
def test_the_age_of_the_look_is_told_beside_the_document(looked, age):
    asked = Asked()
    if looked:
        asked.board.show(few())
        asked.board.clock.seconds = 7.0
    tag = asked("/page.json")[1]["ETag"]
    assert asked("/page.json", IF_NONE_MATCH=tag)[1]["Kip-Age"] == age


def test_5000_nodes_with_30_images_are_little_to_send():
    asked = Asked()
    asked.board.show(thousands())
    _, _, body = asked("/page.json", ACCEPT_ENCODING="gzip")
    assert len(body) < 100_000


def test_the_answer_to_head_says_how_long_the_body_would_be():
    asked = Asked()
    _, headers, body = asked("/", "HEAD")
    assert (int(headers["Content-Length"]), body) == (len(asked("/")[2]), b"")


@pytest.mark.parametrize(
    "path", ["/page/", "/page/index.html", "/page/../board.py", "/page/missing.js", "//"]
)
def test_there_is_nothing_else(path):
    assert Asked().page.answer({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, None) is None
