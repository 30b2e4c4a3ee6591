"""`kip status --open`."""

import json
import signal
from contextlib import nullcontext
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from samples import manifest, stored

from kip.cli.page import _interrupted
from kip.cluster.api import Listing
from kip.errors import Forbidden, ServerError

VALUES = {"NAMESPACE": "images"}
STATUS = {
    "observedGeneration": 1,
    "desiredNumberScheduled": 1,
    "updatedNumberScheduled": 1,
    "numberReady": 1,
}


def cache() -> dict:
    return stored(manifest("tools=registry.example/tools:1.4.2")) | {"kind": "DaemonSet", "status": STATUS}


def pod(found: dict, state: dict) -> dict:
    spec = found["spec"]["template"]["spec"]
    statuses = [{"name": item["name"], "state": state} for item in spec["containers"]]
    return {
        "metadata": {"ownerReferences": [{"kind": "DaemonSet", "uid": found["metadata"]["uid"]}]},
        "spec": {**spec, "nodeName": "node1"},
        "status": {"containerStatuses": statuses},
    }


class Person:
    """Has a page opened, and looks at it before each new look at the cluster; then presses Ctrl-C."""

    def __init__(self, *looks) -> None:
        self.looks, self.url, self.seen = list(looks), "", []

    def open(self, url: str) -> bool:
        self.url = url
        return True

    def pause(self, _least: float, _most: float) -> None:
        if not self.looks:
            raise KeyboardInterrupt
        self.seen.append(self.looks.pop(0)(self.url))


def answer(url: str, **headers: str) -> tuple[int, bytes]:
    return asked(Request(url, headers=headers))  # noqa: S310 - plain http to ourselves


def asked(request: Request) -> tuple[int, bytes]:
    try:
        with urlopen(request, timeout=5) as found:  # noqa: S310
            return found.status, found.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def document(url: str) -> dict:
    return json.loads(answer(f"{url}page.json")[1])


@pytest.fixture
def opened(kip, cluster, monkeypatch):
    """Open the page of a cache with one node in this state; give person, cluster, exit code and output."""

    def run(*looks, state=None, before=lambda _: None):
        found, person = cache(), Person(*looks)
        here = cluster(found)
        here.list_all = lambda selection: (
            here._record("list", selection.resource),
            Listing((pod(found, state or {"running": {}}),), "1"),
        )[1]
        before(here)
        monkeypatch.setattr("kip.cli.page.webbrowser.open", person.open)
        monkeypatch.setattr("kip.cli.page.pauses", lambda *_: nullcontext(person.pause))
        code, out, err = kip("status", "--open", **VALUES)
        return person, here, code, out + err

    return run


def test_the_page_is_served_here_opened_and_its_address_told(opened):
    person, _, code, out = opened(answer, document)
    (status, html), told = person.seen
    assert (code, status, b"<!doctype html>" in html) == (0, 200, True)
    assert told["matrix"]["cache"] == "images/kubernetes-image-puller"
    assert f"The page is at {person.url} until Ctrl-C." in out
    assert urlsplit(person.url).hostname == "127.0.0.1"


def test_without_a_keeper_the_page_has_no_history(opened):
    assert opened(document)[0].seen[0]["history"] is None


def test_nothing_is_written(opened):
    assert opened(answer, answer)[1].writes == []


def test_what_is_missing_at_the_end_is_exit_code_3(opened):
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no"}}
    assert opened(state=waiting)[2] == 3


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"])
def test_a_name_that_was_made_to_point_here_gets_nothing(opened, host):
    def look(url: str):
        return answer(url, Host=host.format(port=urlsplit(url).port))

    assert opened(look)[0].seen == [(404, b"")]


def test_localhost_is_this_machine_too(opened):
    def look(url: str):
        return answer(url, Host=f"localhost:{urlsplit(url).port}")[0]

    assert opened(look)[0].seen == [200]


@pytest.mark.parametrize("path", ["/", "/page.json", "/guess/", "/%c3%a9/page.json", "/guess/page.json"])
def test_who_does_not_know_the_address_gets_nothing(opened, path):
    def look(url: str):
        parts = urlsplit(url)
        return answer(f"{parts.scheme}://{parts.netloc}{path}")

    assert opened(look)[0].seen == [(404, b"")]


def test_it_only_reads(opened):
    def look(url: str):
        return asked(Request(url, method="POST"))[0]  # noqa: S310

    assert opened(look)[0].seen == [405]


def test_an_api_server_in_trouble_is_told_and_the_last_look_stays(opened):
    found = {}

    def trouble(_url: str) -> None:
        found["cluster"].failures["list pods"] = [ServerError("down")]

    person, _, code, _ = opened(
        trouble, document, document, before=lambda cluster: found.update(cluster=cluster)
    )
    _, during, after = person.seen
    assert during["problems"] == {"cluster": "down; what is shown is old"}
    assert during["matrix"]
    assert (after["problems"], code) == ({}, 0)


def test_a_cache_that_is_gone_is_told(opened):
    found = {}

    def delete(_url: str) -> None:
        found["cluster"].objects.clear()

    person, _, code, _ = opened(delete, document, before=lambda cluster: found.update(cluster=cluster))
    assert (person.seen[1]["unknown"], code) == (
        "there is no DaemonSet images/kubernetes-image-puller",
        3,
    )


def test_a_missing_right_is_told_before_anything_is_served(opened):
    def forbid(cluster) -> None:
        cluster.failures["get daemonsets"] = [Forbidden("no")]

    person, _, code, _ = opened(document, before=forbid)
    assert (person.url, code) == ("", 4)


@pytest.mark.parametrize("more", [["--watch"], ["--nodes"], ["-o", "json"], ["-o", "wide"]])
def test_it_goes_with_no_other_form(kip, cluster, more, monkeypatch):
    cluster(cache())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, _, err = kip("status", "--open", *more, **VALUES)
    assert (code, "--open goes with no other form" in err) == (2, True)


def test_ctrl_c_is_heard_also_where_interrupts_were_ignored_by_who_started_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _interrupted() as stopped:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert stopped.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
