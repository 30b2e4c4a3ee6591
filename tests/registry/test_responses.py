import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.registry.responses import (
    LONGEST_WAIT_SECONDS,
    Challenge,
    Token,
    read_challenge,
    read_digest,
    read_token,
    read_wait,
)

REALM = "https://auth.example.com/token"
DATE = "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (
            f'Bearer realm="{REALM}",service="registry.example.com",scope="repository:a/b:pull"',
            Challenge("bearer", REALM, "registry.example.com", "repository:a/b:pull"),
        ),
        (f"bearer Realm={REALM} , service = x", Challenge("bearer", REALM, "x")),
        (
            f'Bearer realm="{REALM}",scope="repository:a:pull,push"',
            Challenge("bearer", REALM, "", "repository:a:pull,push"),
        ),
        (f'Bearer realm="{REALM}",error="invalid_token"', Challenge("bearer", REALM)),
        (f'Basic realm="x", Bearer realm="{REALM}"', Challenge("bearer", REALM)),
        (f'Bearer realm="{REALM}", Basic realm="a, b"', Challenge("bearer", REALM)),
        ('Basic realm="Registry \\"Realm\\""', Challenge("basic")),
        ("BASIC", Challenge("basic")),
        ('Bearer service="x", Basic', Challenge("basic")),
        ('Bearer realm=""', None),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_a_challenge_is_read(header, challenge):
    assert read_challenge(header) == challenge


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        ({"token": "abc", "expires_in": 300}, Token("abc", 300.0)),
        ({"access_token": "abc", "expires_in": 300.5}, Token("abc", 300.5)),
        ({"token": "abc", "access_token": "other"}, Token("abc", 60.0)),
        ({"token": "abc", "expires_in": "300"}, Token("abc", 60.0)),
        ({"token": "abc", "expires_in": 0}, Token("abc", 60.0)),
        ({"token": "abc\r\nHost: x"}, None),
        ({"token": 7}, None),
        ({}, None),
        ([], None),
    ],
)
def test_a_token_is_read_with_its_time(answer, token):
    assert read_token(json.dumps(answer).encode()) == token


@given(st.binary() | st.just(b"[" * 100_000))
def test_no_text_makes_reading_a_token_fail(body):
    assert read_token(body) is None


def test_a_token_does_not_show_itself():
    assert "abc" not in repr(Token("abc"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 08:00:30 GMT", "Date": DATE}, 30.0),
        ({"Retry-After": "Sat, 21 Nov 2026 07:00:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 08:00:30 -0000", "Date": DATE}, None),
        ({"Retry-After": "Sat, 21 Nov 2026 08:00:30 GMT"}, None),
        ({"Retry-After": "1795248000"}, LONGEST_WAIT_SECONDS),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wish_to_wait_is_read(headers, seconds):
    assert read_wait(headers) == seconds


@pytest.mark.parametrize(
    ("given_digest", "digest"),
    [
        ("sha256:" + "a" * 64, "sha256:" + "a" * 64),
        (" sha512:" + "a" * 128, "sha512:" + "a" * 128),
        ("sha256:" + "a" * 63, ""),
        ("md5:" + "a" * 32, ""),
        ("a" * 64, ""),
        ("", ""),
    ],
)
def test_only_a_whole_digest_is_one(given_digest, digest):
    assert read_digest({"Docker-Content-Digest": given_digest}) == digest
