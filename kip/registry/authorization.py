"""How kip shows who asks: by a bearer token of the registry's token service, or by user and password.

Source: docs.docker.com/registry/spec/auth/token, by GET, as every token service knows it.
"""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from kip.config.references import Reference
from kip.errors import RegistryRefused
from kip.registry.credentials import Credential
from kip.registry.responses import Challenge, read_challenge, read_token
from kip.registry.web import Answer, Request, Session, Web, status_text

REMEDY = "Is the name right? A private image needs a Secret in IMAGE_PULL_SECRETS that the registry accepts."


@dataclass(frozen=True, slots=True)
class Question:
    """What one reference points to. `base` is the registry's URL, `text` the reference as it was written."""

    text: str
    base: str
    reference: Reference
    credential: Credential | None


class Authorizer:
    """Gets tokens, and keeps each until it expires. May be used from several threads.

    `clock` is monotonic seconds.
    """

    def __init__(self, web: Web, clock: Callable[[], float]) -> None:
        self._web = web
        self._clock = clock
        self._tokens: dict[tuple[str, str, Credential | None], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def known(self, question: Question) -> str:
        """Return the Authorization header of a token that is still valid, else an empty string."""
        with self._lock:
            header, expires = self._tokens.get(_key(question), ("", 0.0))
        return header if self._clock() < expires else ""

    def obtain(self, session: Session, question: Question, refusal: Answer) -> str:
        """Return the Authorization header that this answer, a 401, asks for. Raise RegistryRefused."""
        if not refusal.own:  # Its token service would get the credential of another host.
            raise RegistryRefused(f"{question.text}: the host that it is redirected to asks for a credential")
        challenge = read_challenge(refusal.headers.get("WWW-Authenticate", ""))
        if challenge is None:
            raise RegistryRefused(
                f"{question.text}: the registry asks for a credential in a way unknown to kip"
            )
        if challenge.scheme == "bearer":
            return self._token(session, question, challenge)
        if question.credential is None:
            raise RegistryRefused(f"{question.text}: the registry asks for a credential", hint=REMEDY)
        return _basic(question.credential)

    def _token(self, session: Session, question: Question, challenge: Challenge) -> str:
        asked_at = self._clock()
        credential = question.credential
        request = Request(
            question.text,
            "GET",
            _token_url(question, challenge),
            "application/json",
            _basic(credential) if credential else "",
        )
        answer = self._web.send(session, request)
        if not answer.good:
            raise RegistryRefused(
                f"{question.text}: the registry's token service answers {status_text(answer.status)}",
                hint=REMEDY if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else "",
            )
        token = read_token(answer.body)
        if token is None:
            raise RegistryRefused(f"{question.text}: the registry's token service answers without a token")
        header = f"Bearer {token.text}"
        with self._lock:
            valid = {key: kept for key, kept in self._tokens.items() if asked_at < kept[1]}
            self._tokens = {**valid, _key(question): (header, asked_at + token.seconds)}
        return header


def _token_url(question: Question, challenge: Challenge) -> str:
    """Return where the token is asked for. Raise RegistryRefused if a credential must not go there."""
    try:
        realm = urlsplit(challenge.realm)
    except ValueError:
        realm = urlsplit("")
    if not realm.hostname or "@" in realm.netloc or realm.scheme not in ("https", "http"):
        raise RegistryRefused(f"{question.text}: the registry names no usable token service")
    if realm.scheme != "https" and not question.base.startswith("http://"):
        raise RegistryRefused(f"{question.text}: the token service {realm.hostname} is not asked by TLS")
    scope = challenge.scope or f"repository:{question.reference.path}:pull"
    query = [("service", challenge.service)] if challenge.service else []
    added = urlencode([*query, *(("scope", each) for each in scope.split())])
    return realm._replace(query="&".join(filter(None, (realm.query, added))), fragment="").geturl()


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _key(question: Question) -> tuple[str, str, Credential | None]:
    return question.base, question.reference.path, question.credential
