"""HTTP to registries and their token services, on `requests`, which only it and `kip.registry.deadline` know.

`requests` takes proxies and further authorities from the usual variables (HTTPS_PROXY, NO_PROXY,
REQUESTS_CA_BUNDLE). Its cookies, its .netrc and its own way with redirects are off: a credential goes only
where kip sends it.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy

import requests

from kip import __version__
from kip.errors import KipError, RegistryRefused, RegistryUnavailable
from kip.registry.deadline import Deadline, mount
from kip.registry.rate_limit import RateLimiter
from kip.registry.responses import read_wait
from kip.registry.urls import host_of, origin_of, redirected

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes. A manifest that is larger is none: containerd has the same limit."""

MOST_REDIRECTS = 5

SILENT_SECONDS = 10.0
"""A host that gave no answer is left alone for so long: a hundred references must not time out in turn."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_PAUSING = frozenset({429, 503})
_TROUBLE = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class Session(requests.Session):
    """Connections, kept while several requests are sent. Nothing goes out but what is told to."""

    def __init__(self) -> None:
        super().__init__()
        mount(self)
        self.headers.update({"User-Agent": f"kip/{__version__}", "Accept-Encoding": "identity"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = _as_it_is

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the library's name
        """Prepare no request to where a redirect leads: that is for `Web` to decide."""
        return


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `reference` is the image that it is about, for messages."""

    reference: str
    method: str
    url: str
    accept: str
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with a status below 500; `own` tells that it is from the host that was asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    own: bool

    @property
    def good(self) -> bool:
        """Whether what was asked for is there."""
        return self.status == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: for a connection, from one byte of an answer to the next, for all of an answer."""

    connection: float = 5.0
    byte: float = 10.0
    answer: float = 30.0


class Web:
    """Sends requests, politely. May be used from several threads.

    `insecure` are the hosts that a redirect may lead to by plain HTTP, `clock` is monotonic seconds.
    `patience` is how long to wait.
    """

    def __init__(self, insecure: frozenset[str], clock: Callable[[], float], patience: Timeouts) -> None:
        self._insecure = insecure
        self._politeness = RateLimiter(clock)
        self._patience = patience

    def send(self, session: Session, request: Request) -> Answer:
        """Return the answer, redirects followed. Raise RegistryAway, RegistryRefused."""
        url = request.url
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._once(session, request, url)
            if answer.status not in _MOVED:
                return answer
            target = redirected(url, answer.headers.get("Location", ""), self._insecure)
            if not target:
                raise RegistryRefused(
                    f"{request.reference}: {host_of(url)} redirects to where TLS does not lead"
                )
            url = target
        raise RegistryRefused(f"{request.reference}: {host_of(request.url)} redirects in circles")

    def _once(self, session: Session, request: Request, url: str) -> Answer:
        host, own = host_of(url), origin_of(url) == origin_of(request.url)
        headers = {"Accept": request.accept}
        if own and request.authorization:
            headers["Authorization"] = request.authorization
        with self._politeness.turn(host) as pause:
            if pause:
                raise RegistryUnavailable(
                    f"{request.reference}: {host} is not asked for another {pause:.0f} s, "
                    "as it asked for patience or gave no answer",
                    retry_after=pause,
                )
            try:
                answer = self._answer(session, request, url, headers, own=own)
            except (OSError, ValueError) as error:
                trouble = _trouble(request.reference, host, error)
                if isinstance(trouble, RegistryUnavailable):
                    self._politeness.rest(host, SILENT_SECONDS)
                raise trouble from error
            self._check(request, host, answer)
            return answer

    def _answer(
        self, session: Session, request: Request, url: str, headers: Mapping[str, str], *, own: bool
    ) -> Answer:
        with Deadline(self._patience.answer) as deadline:
            try:
                with session.request(
                    request.method,
                    url,
                    headers=headers,
                    timeout=(self._patience.connection, self._patience.byte),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    answer = Answer(response.status_code, response.headers, _body(request, response), own)
            except (OSError, ValueError) as error:
                if deadline.over:
                    raise requests.Timeout from error
                raise
            if deadline.over:
                raise requests.Timeout  # what was read by then may be half of it
            return answer

    def _check(self, request: Request, host: str, answer: Answer) -> None:
        """Raise RegistryAway if the host is in trouble, or has enough of us."""
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _PAUSING:
            return
        wait = read_wait(answer.headers)
        if wait and answer.status in _PAUSING:
            self._politeness.rest(host, wait)
        raise RegistryUnavailable(
            f"{request.reference}: {host} answers {status_text(answer.status)}", retry_after=wait
        )


def status_text(status: int) -> str:
    """Return a status with its meaning: `404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _as_it_is(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authorize nothing: without this, `requests` would look into .netrc and into the URL."""
    return prepared


def _body(request: Request, response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise RegistryRefused(f"{request.reference}: the answer is larger than {LARGEST_ANSWER} bytes")
    return bytes(body)


def _trouble(reference: str, host: str, error: Exception) -> KipError:
    """Return kip's error for one of `requests`, in few words: the whole text may hold a signed URL."""
    cause = _innermost(error)
    words = getattr(cause, "strerror", None) or str(cause).rpartition(": ")[2] or type(cause).__name__
    if isinstance(error, requests.exceptions.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        words = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or words
        return RegistryRefused(
            f"{reference}: {host} cannot be asked by TLS: {words}",
            hint="Add its authority to the file of REQUESTS_CA_BUNDLE, or list it in INSECURE_REGISTRIES.",
        )
    if isinstance(error, requests.Timeout):
        return RegistryUnavailable(f"{reference}: {host} did not answer in time")
    if isinstance(error, _TROUBLE):
        return RegistryUnavailable(f"{reference}: {host} gives no answer: {words}")
    return RegistryRefused(f"{reference}: {host} cannot be asked: {type(error).__name__}")


def _innermost(error: BaseException) -> BaseException:
    """Return the error at the bottom of what `requests` and its library wrapped around it."""
    wrapped = [getattr(error, "reason", None), error.__cause__, *error.args]
    inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
    return _innermost(inner) if inner else error
