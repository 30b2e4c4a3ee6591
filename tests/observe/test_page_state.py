"""The board: the last look, the history, and what is wrong."""

import json
from datetime import UTC, datetime, timedelta

from fakes import Clock
from page_scenes import few

from kip.core.status.notifications import Notification
from kip.observe.page_state import NOTICES_KEPT, PageState

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def notice(number: int, note: str = "") -> Notification:
    return Notification(NOW + timedelta(seconds=number), f"Reason{number}", note)


def test_before_the_first_look_it_says_so():
    document = PageState(Clock()).document()
    assert (document["matrix"], document["unknown"]) == (None, "the cache was not looked at yet")


def test_what_is_hidden_is_gone_with_a_reason():
    board = PageState(Clock())
    board.show(few())
    board.hide("no right")
    document = board.document()
    assert (document["matrix"], document["unknown"]) == (None, "no right")


def test_a_look_takes_the_reason_away():
    board = PageState(Clock())
    board.hide("no right")
    board.show(few())
    assert board.document()["unknown"] == ""


def test_the_newest_notice_comes_first_and_old_ones_go():
    board = PageState(Clock())
    for number in range(NOTICES_KEPT + 3):
        board.note(notice(number))
    told = [item["reason"] for item in board.document()["history"]]
    assert (len(told), told[0], told[-1]) == (NOTICES_KEPT, f"Reason{NOTICES_KEPT + 2}", "Reason3")


def test_a_notice_is_told_whole():
    board = PageState(Clock())
    board.note(Notification(NOW, "ImageFailed", "a is not on 3 nodes", warning=True))
    assert board.document()["history"] == [
        {
            "at": "2026-11-21T08:30:00+00:00",
            "reason": "ImageFailed",
            "note": "a is not on 3 nodes",
            "warning": True,
        }
    ]


def test_without_a_keeper_there_is_no_history():
    assert PageState(Clock(), keeps_history=False).document()["history"] is None


def test_passwords_in_addresses_are_not_shown():
    board = PageState(Clock(), lambda: {"settings": "IMAGES='http://me:hunter2@registry.example/a'"})
    board.note(notice(1, "proxyconnect http://me:hunter2@proxy.example"))
    assert "hunter2" not in board.encoded().decode()


def test_nothing_is_encoded_again_while_nothing_changes():
    board = PageState(Clock(), lambda: {"settings": "bad"})
    board.show(few())
    before = board.encoded()
    board.show(few())
    assert board.encoded() is before


def test_a_new_problem_is_told():
    problems = {}
    board = PageState(Clock(), lambda: dict(problems))
    board.encoded()
    problems["settings"] = "bad"
    assert json.loads(board.encoded())["problems"] == {"settings": "bad"}


def test_no_text_is_too_broken_to_be_encoded():
    board = PageState(Clock())
    board.hide("a lone \ud800 surrogate, \x00, \u202e and </script>")
    assert json.loads(board.encoded())["unknown"] == board.document()["unknown"]
