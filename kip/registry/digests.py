"""The digest that a tag points to now, asked of its registry.

`python-dxf` does not serve: it asks for manifests of schema 1 too, which may give another digest, sends no
credential over plain HTTP, and knows neither when a token expires nor that a registry wants a pause. What is
needed is one HEAD and a token, by `requests`, which the kubernetes package brings along.

Source: OCI distribution-spec. The order of the media types and the GET without a digest are containerd's
(core/remotes/docker/resolver.go), so that the digest is the one that the node records.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

from kip.config.references import DEFAULT_DOMAIN, parse_reference
from kip.errors import InternalError, KipError, RegistryRefused
from kip.registry.authorization import REMEDY, Authorizer, Question
from kip.registry.credentials import Credential, find
from kip.registry.responses import read_digest
from kip.registry.web import Answer, Request, Session, Timeouts, Web, status_text

PATIENCE = Timeouts()
MOST_THREADS = 16

DOCKER_HUB = "registry-1.docker.io"

ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, */*"
)

_HIDDEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""Docker Hub and others do not tell a private image from one that is not there."""


class Registries:
    """All registries. May be used from several threads.

    `insecure` are the `host` or `host:port` that are asked by plain HTTP, exactly as references name them;
    `clock` is monotonic seconds.
    """

    def __init__(
        self,
        insecure: Iterable[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: Timeouts = PATIENCE,
    ) -> None:
        self._insecure = frozenset(host.lower() for host in insecure)
        self._web = Web(self._insecure, clock, patience)
        self._authorizer = Authorizer(self._web, clock)

    def digest(self, reference: str, credentials: Sequence[Credential]) -> str:
        """Return the digest that the reference points to now, such as `sha256:...`.

        Raise RegistryAway when it is worth asking later, RegistryRefused or ReferenceProblem when it is not.
        """
        with Session() as session:
            return self._digest(session, reference, credentials)

    def ask_all(
        self, references: Iterable[str], credentials: Sequence[Credential]
    ) -> dict[str, str | KipError]:
        """Return for each reference its digest, or the error that `digest` would raise.

        The threads are daemons: a process that ends does not wait for a registry.
        """
        wanted = tuple(dict.fromkeys(references))
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for reference in wanted:
            waiting.put(reference)
        found: dict[str, str | KipError] = {}

        def work() -> None:
            while True:
                try:
                    reference = waiting.get_nowait()
                except queue.Empty:
                    return
                found[reference] = self._digest_or_error(session, reference, credentials)

        with Session() as session:
            threads = [
                threading.Thread(target=work, name=f"registry {number}", daemon=True)
                for number in range(min(MOST_THREADS, len(wanted)))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return {reference: found[reference] for reference in wanted}

    def _digest_or_error(
        self, session: Session, reference: str, credentials: Sequence[Credential]
    ) -> str | KipError:
        try:
            return self._digest(session, reference, credentials)
        except KipError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the outermost frame of a thread: a fault is told
            return InternalError(error)

    def _digest(self, session: Session, text: str, credentials: Sequence[Credential]) -> str:
        reference = parse_reference(text)
        if reference.digest:
            return reference.digest
        scheme = "http" if reference.domain.lower() in self._insecure else "https"
        host = DOCKER_HUB if reference.domain == DEFAULT_DOMAIN else reference.domain
        question = Question(text, f"{scheme}://{host}", reference, find(credentials, reference))
        answer = self._ask(session, question, "HEAD")
        if digest := read_digest(answer.headers) if answer.good else "":
            return digest
        if answer.good or answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            answer = self._ask(session, question, "GET")
        if not answer.good:
            raise RegistryRefused(
                f"{text}: {host} answers {status_text(answer.status)}",
                hint=REMEDY if answer.status in _HIDDEN else "",
                missing=answer.status == HTTPStatus.NOT_FOUND,
            )
        return f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    def _ask(self, session: Session, question: Question, method: str) -> Answer:
        """Ask for the manifest, and again with authorization when the registry wants one."""
        path = f"/v2/{question.reference.path}/manifests/{question.reference.tag or 'latest'}"
        known = self._authorizer.known(question)
        request = Request(question.text, method, f"{question.base}{path}", ACCEPT, known)
        answer = self._web.send(session, request)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        authorization = self._authorizer.obtain(session, question, answer)
        return self._web.send(session, Request(question.text, method, request.url, ACCEPT, authorization))
