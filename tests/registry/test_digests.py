"""What is asked of registries, on the wire, and what becomes of their answers."""

import base64
import hashlib
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest
from wire import Answer, serving

from kip.config.references import ReferenceProblem
from kip.errors import InternalError, KipError, RegistryRefused, RegistryUnavailable
from kip.registry.credentials import Credential
from kip.registry.digests import ACCEPT, Registries
from kip.registry.web import Timeouts

DIGEST = "sha256:" + "0123456789abcdef" * 4
FOUND = Answer(200, b"", {"Docker-Content-Digest": DIGEST})
UNKNOWN = Answer(401, b"", {"WWW-Authenticate": "Negotiate"})
BASIC = Answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
SECRET = "hunter2"
PAIR = "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()
PATH = "/v2/group/app/manifests/1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def host_of(url: str) -> str:
    return urlsplit(url).netloc


def image_at(url: str) -> str:
    return f"{host_of(url)}/group/app:1"


def user_at(url: str) -> Credential:
    return Credential(host_of(url), "", "ann", SECRET)


def registries(*urls: str, **options: object) -> Registries:
    return Registries(frozenset(map(host_of, urls)), **options)


def bearer(url: str, scope: str = "repository:group/app:pull") -> Answer:
    challenge = f'Bearer realm="{url}/token",service="registry",scope="{scope}"'
    return Answer(401, b"", {"WWW-Authenticate": challenge})


def moved(target: str, status: int = 307) -> Answer:
    return Answer(status, b"", {"Location": target})


def asked(*answers: Answer, user: bool = False) -> tuple[str, list]:
    """Return the digest that these answers give, and the requests that were made."""
    with serving(*answers) as (server, url):
        return registries(url).digest(image_at(url), [user_at(url)] if user else []), server.requests


def failed(*answers: Answer, user: bool = True, **options: object) -> KipError:
    """Return the error that these answers give; it names the image and holds no secret."""
    with serving(*answers) as (_, url), pytest.raises((RegistryUnavailable, RegistryRefused)) as caught:
        registries(url, **options).digest(image_at(url), [user_at(url)] if user else [])
    assert str(caught.value).startswith(f"{image_at(url)}: ")
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    return caught.value


def test_a_tag_is_asked_for_by_one_head_as_containerd_asks():
    digest, [request] = asked(FOUND)
    assert digest == DIGEST
    assert (request.method, request.path) == ("HEAD", PATH)
    assert request.headers["Accept"] == ACCEPT
    assert request.headers["User-Agent"].startswith("kip/")
    assert "Authorization" not in request.headers


def test_the_credential_waits_until_it_is_asked_for():
    _, [request] = asked(FOUND, user=True)
    assert "Authorization" not in request.headers


def test_without_a_tag_it_is_latest():
    with serving(FOUND) as (server, url):
        registries(url).digest(f"{host_of(url)}/app", [])
    assert server.requests[0].path == "/v2/app/manifests/latest"


def test_a_reference_with_a_digest_needs_no_registry():
    assert Registries().digest(f"127.0.0.1:1/app:1@{DIGEST}", []) == DIGEST


def test_what_is_no_reference_is_told_as_such():
    with pytest.raises(ReferenceProblem):
        Registries().digest("http://a/b", [])


@pytest.mark.parametrize(
    "head",
    [
        Answer(200, b""),
        Answer(200, b"", {"Docker-Content-Digest": "sha256:short"}),
        Answer(405, b""),
    ],
)
def test_without_a_digest_in_the_answer_the_manifest_is_fetched_and_hashed(head):
    body = b'{ "schemaVersion": 2 }\n'
    digest, requests = asked(head, Answer(200, body))
    assert digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert [request.method for request in requests] == ["HEAD", "GET"]
    assert requests[1].headers["Accept"] == ACCEPT
    assert requests[1].headers["Accept-Encoding"] == "identity"


def test_a_manifest_beyond_measure_is_not_read():
    chunks = (b"x" * 1024 * 1024,) * 5
    assert "larger than" in str(failed(Answer(200, b""), Answer(200, chunks=chunks)))


def test_a_token_is_fetched_with_the_credential_and_shown():
    with serving() as (server, url):
        server.script(bearer(url), Answer(body={"token": "abc"}), FOUND)
        assert registries(url).digest(image_at(url), [user_at(url)]) == DIGEST
    first, token, second = server.requests
    assert "Authorization" not in first.headers
    assert (token.method, token.path, token.headers["Authorization"]) == ("GET", "/token", PAIR)
    assert token.query == {"service": "registry", "scope": "repository:group/app:pull"}
    assert (second.method, second.headers["Authorization"]) == ("HEAD", "Bearer abc")


def test_without_a_credential_an_anonymous_token_will_do():
    with serving() as (server, url):
        server.script(bearer(url, scope=""), Answer(body={"access_token": "abc"}), FOUND)
        stranger = Credential("other.example.com", "", "ann", SECRET)
        assert registries(url).digest(image_at(url), [stranger]) == DIGEST
    assert "Authorization" not in server.requests[1].headers
    assert server.requests[1].query["scope"] == "repository:group/app:pull"


def test_a_token_serves_until_it_expires():
    clock = Clock()
    with serving() as (server, url):
        token = Answer(body={"token": "abc", "expires_in": 300})
        asking = registries(url, clock=clock)
        server.script(bearer(url), token, FOUND, FOUND, bearer(url), token, FOUND)
        for seconds in (0, 299, 1):
            clock.now += seconds
            asking.digest(image_at(url), [])
    assert [request.path for request in server.requests].count("/token") == 2
    assert server.requests[3].headers["Authorization"] == "Bearer abc"
    assert "Authorization" not in server.requests[4].headers


def test_a_token_that_is_no_longer_accepted_is_replaced():
    with serving() as (server, url):
        asking = registries(url)
        server.script(bearer(url), Answer(body={"token": "old"}), FOUND)
        asking.digest(image_at(url), [])
        server.script(bearer(url), Answer(body={"token": "new"}), FOUND)
        assert asking.digest(image_at(url), []) == DIGEST
    assert [request.headers.get("Authorization") for request in server.requests[3:]] == [
        "Bearer old",
        None,
        "Bearer new",
    ]


def test_a_token_serves_its_own_repository_and_credential_only():
    with serving() as (server, url):
        asking = registries(url)
        server.script(bearer(url), Answer(body={"token": "abc"}), FOUND, FOUND, FOUND)
        asking.digest(image_at(url), [user_at(url)])
        asking.digest(image_at(url), [])
        asking.digest(f"{host_of(url)}/group/other", [user_at(url)])
    assert all("Authorization" not in request.headers for request in server.requests[3:])


def test_user_and_password_are_shown_to_a_registry_that_asks_for_them():
    digest, requests = asked(BASIC, FOUND, user=True)
    assert digest == DIGEST
    assert [request.headers.get("Authorization") for request in requests] == [None, PAIR]


@pytest.mark.parametrize(
    ("answers", "user", "message"),
    [
        ((BASIC,), False, "asks for a credential"),
        ((BASIC, BASIC), True, "answers 401 Unauthorized"),
        ((UNKNOWN,), True, "in a way unknown to kip"),
        ((Answer(401, b""),), True, "in a way unknown to kip"),
        ((Answer(400, b""),), True, "answers 400 Bad Request"),
        ((Answer(403, b""),), True, "answers 403 Forbidden"),
        ((Answer(404, b""),), True, "answers 404 Not Found"),
        ((Answer(200, b""), Answer(404, b"")), True, "answers 404 Not Found"),
        ((Answer(499, b""),), True, "answers 499"),
    ],
)
def test_a_registry_that_does_not_tell_is_no_trouble(answers, user, message):
    error = failed(*answers, user=user)
    assert isinstance(error, RegistryRefused)
    assert message in str(error)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(401, b"hunter2"), "token service answers 401 Unauthorized"),
        (Answer(404, b"hunter2"), "token service answers 404 Not Found"),
        (Answer(200, b"hunter2"), "answers without a token"),
        (Answer(200, {"token": "hunter2\n"}), "answers without a token"),
    ],
)
def test_a_token_service_that_gives_no_token_refuses(answer, message):
    with serving() as (server, url):
        server.script(bearer(url), answer)
        with pytest.raises(RegistryRefused) as caught:
            registries(url).digest(image_at(url), [user_at(url)])
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "realm", ["ftp://a/token", "//a/token", "https://[a/token", "http://u:p@a/token", "/t"]
)
def test_a_token_service_without_a_usable_address_is_not_asked(realm):
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    assert "no usable token service" in str(failed(Answer(401, b"", challenge)))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_registry_in_trouble_is_away(status):
    error = failed(Answer(status, b""))
    assert isinstance(error, RegistryUnavailable)
    assert (error.retry_after, str(status) in str(error)) == (None, True)


@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_that_wants_a_pause_gets_it(status):
    clock = Clock()
    with serving(Answer(status, b"", {"Retry-After": "30"}), FOUND) as (server, url):
        asking, waits = registries(url, clock=clock), []
        for seconds in (0, 10):
            clock.now += seconds
            with pytest.raises(RegistryUnavailable) as caught:
                asking.digest(image_at(url), [])
            waits.append(caught.value.retry_after)
        assert (waits, len(server.requests)) == ([30.0, 20.0], 1)
        clock.now += 20
        assert asking.digest(image_at(url), []) == DIGEST


def test_a_pause_is_for_its_host_alone():
    busy = Answer(429, b"", {"Retry-After": "30"})
    with serving(busy) as (_, first), serving(FOUND) as (_, second):
        found = registries(first, second).ask_all([image_at(first), image_at(second)], [])
    assert isinstance(found[image_at(first)], RegistryUnavailable)
    assert found[image_at(second)] == DIGEST


def test_a_token_service_that_wants_a_pause_gets_it():
    with serving() as (server, url), serving(Answer(429, b"", {"Retry-After": "30"})) as (tokens, other):
        server.script(bearer(other), bearer(other))
        asking = registries(url)
        for _ in range(2):
            with pytest.raises(RegistryUnavailable):
                asking.digest(image_at(url), [])
    assert len(tokens.requests) == 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((Answer(drop=True),), "gives no answer"),
        ((Answer(hang=True),), "did not answer in time"),
        ((Answer(200, b""), Answer(200, b"half", {"Content-Encoding": "gzip"})), "gives no answer"),
    ],
)
def test_no_answer_is_away(answers, message):
    error = failed(*answers, patience=Timeouts(byte=0.2))
    assert isinstance(error, RegistryUnavailable)
    assert message in str(error)


def test_headers_that_come_byte_by_byte_are_not_listened_to_for_ever():
    error = failed(Answer(trickle="headers"), patience=Timeouts(answer=0.3))
    assert (type(error), "did not answer in time" in str(error)) == (RegistryUnavailable, True)


def test_nor_is_a_body():
    error = failed(Answer(200, b""), Answer(trickle="body"), patience=Timeouts(answer=0.3))
    assert (type(error), "did not answer in time" in str(error)) == (RegistryUnavailable, True)


def test_nor_is_a_proxy(monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    with serving(Answer(trickle="headers")) as (_, url):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(RegistryUnavailable) as caught:
            Registries(patience=Timeouts(answer=0.3)).digest("registry.example/app:1", [])
    assert "did not answer in time" in str(caught.value)


def test_nor_by_tls(tls, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with (
        serving(Answer(trickle="headers"), tls=tls) as (_, url),
        pytest.raises(RegistryUnavailable) as caught,
    ):
        Registries(patience=Timeouts(answer=0.3)).digest(image_at(url), [])
    assert "did not answer in time" in str(caught.value)


@pytest.mark.parametrize("insecure", [(), ("127.0.0.1:1",)])
def test_nobody_listening_is_away(insecure):
    with pytest.raises(RegistryUnavailable) as caught:
        Registries(insecure).digest("127.0.0.1:1/app:1", [])
    assert str(caught.value) == "127.0.0.1:1/app:1: 127.0.0.1:1 gives no answer: Connection refused"


def test_a_host_without_an_address_is_away():
    with pytest.raises(RegistryUnavailable):
        Registries().digest("registry.invalid/app:1", [])


def test_a_silent_host_does_not_let_every_reference_time_out():
    with serving(*[Answer(hang=True)] * 40) as (server, url):
        images = [f"{host_of(url)}/app:{number}" for number in range(40)]
        found = registries(url, patience=Timeouts(byte=0.2)).ask_all(images, [])
        assert len(server.requests) <= 4
    assert {type(error) for error in found.values()} == {RegistryUnavailable}


def test_a_redirect_on_the_host_is_followed_with_authorization():
    digest, requests = asked(BASIC, moved("/v2/other"), FOUND, user=True)
    assert digest == DIGEST
    assert (requests[2].method, requests[2].path, requests[2].headers["Authorization"]) == (
        "HEAD",
        "/v2/other",
        PAIR,
    )


def test_a_redirect_to_another_host_is_followed_without_authorization():
    with serving() as (server, url), serving(FOUND) as (other, target):
        server.script(BASIC, moved(f"{target}/v2/other"))
        assert registries(url, target).digest(image_at(url), [user_at(url)]) == DIGEST
    assert server.requests[1].headers["Authorization"] == PAIR
    assert "Authorization" not in other.requests[0].headers


def test_another_host_gets_no_credential_by_asking_for_one():
    with serving() as (server, url), serving() as (other, target):
        server.script(moved(f"{target}/v2/other"))
        other.script(bearer(target))
        with pytest.raises(RegistryRefused, match="redirected"):
            registries(url, target).digest(image_at(url), [user_at(url), user_at(target)])
    assert (len(server.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://u:p@127.0.0.1:1/",
        "https://[a/",
        "https://a:x/",
        "",
    ],
)
def test_a_redirect_to_where_tls_does_not_reach_is_not_followed(target):
    error = failed(moved(target))
    assert isinstance(error, RegistryRefused)
    assert "redirects" in str(error)


def test_a_redirect_in_circles_ends():
    assert "in circles" in str(failed(*[moved(PATH)] * 20))


def test_neither_netrc_nor_a_cookie_is_sent(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    head = Answer(200, b"", {"Set-Cookie": "a=b"})
    _, requests = asked(head, Answer(200, b"{}"))
    assert all({"Authorization", "Cookie"}.isdisjoint(request.headers) for request in requests)


def test_docker_io_is_asked_under_its_other_name_and_through_a_proxy(monkeypatch):
    with serving(FOUND) as (proxy, url):
        monkeypatch.setenv("http_proxy", url)
        Registries(["docker.io"]).digest("busybox", [])
    [request] = proxy.requests
    assert (request.headers["Host"], request.path) == (
        "registry-1.docker.io",
        "/v2/library/busybox/manifests/latest",
    )


def test_all_references_get_an_answer_whatever_happens_to_one():
    with serving(FOUND, FOUND) as (_, url):
        found = registries(url).ask_all([image_at(url), "A B", "127.0.0.1:1/app", image_at(url)], [])
    assert [*found] == [image_at(url), "A B", "127.0.0.1:1/app"]
    assert [type(each) for each in found.values()] == [str, ReferenceProblem, RegistryUnavailable]


def test_many_references_are_asked_side_by_side():
    with serving(*[FOUND] * 100) as (server, url):
        images = [f"{host_of(url)}/app:{number}" for number in range(100)]
        assert registries(url).ask_all(images, []) == dict.fromkeys(images, DIGEST)
    assert len(server.requests) == 100


def test_nothing_is_asked_for_nothing():
    assert Registries().ask_all([], []) == {}


def test_a_fault_of_kip_is_an_answer_too():
    assert isinstance(Registries().ask_all(["a"], [None])["a"], InternalError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1 that no authority signed, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = subprocess.run([*command, *subject, "-keyout", "-", "-out", "-"], capture_output=True, check=True)
    path.write_bytes(made.stdout)
    return path


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(tls):
    with serving(FOUND, tls=tls) as (server, url), pytest.raises(RegistryRefused) as caught:
        Registries().digest(image_at(url), [])
    assert "self-signed certificate" in str(caught.value)
    assert server.requests == []


def test_a_registry_is_asked_by_tls_unless_it_is_listed():
    with serving(FOUND) as (server, url), pytest.raises(RegistryRefused) as caught:
        Registries(["127.0.0.1"]).digest(image_at(url), [])
    assert "cannot be asked by TLS" in str(caught.value)
    assert "INSECURE_REGISTRIES" in caught.value.hint
    assert server.requests == []


def test_an_authority_of_ones_own_is_taken_from_the_usual_variable(tls, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving(FOUND, tls=tls) as (_, url):
        assert Registries().digest(image_at(url), []) == DIGEST


def test_a_credential_for_a_registry_by_tls_never_goes_to_a_token_service_without(
    tls, certificate, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving(tls=tls) as (server, url), serving() as (tokens, plain):
        server.script(bearer(plain))
        with pytest.raises(RegistryRefused, match="not asked by TLS"):
            registries(plain).digest(image_at(url), [user_at(url)])
    assert tokens.requests == []
