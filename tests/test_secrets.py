"""Passwords and tokens never reach a log, a message or a notice, whatever input they were put into."""

import json
from base64 import b64encode
from io import StringIO

import pytest
import structlog
from fakes import FakeCluster, configmap
from hypothesis import given
from hypothesis import strategies as st

from kip.cluster.reads import read_credentials
from kip.config.settings import read_settings
from kip.config.sources import near_misses
from kip.config.table import SETTINGS
from kip.errors import KipError, SettingsError
from kip.keeper.settings_source import SettingsSource
from kip.log import configure
from kip.redact import redact, redacted
from kip.registry.digests import Registries

SECRET = "hunter2"
AUTH = b64encode(f"bob:{SECRET}".encode()).decode()
LOGIN = json.dumps({"auths": {"registry.example": {"auth": AUTH, "password": SECRET}}})
FORMS = [
    f"bob:{SECRET}@registry.example/group/app:1.0.0",
    f"a=bob:{SECRET}@registry.example/app:1.0.0;b=registry.example/b:1.0.0",
    f"https://bob:{SECRET}@registry.example",
    LOGIN,
    f"password: {SECRET}",
    f"Authorization: Basic {AUTH}",
    f"?access_token={SECRET}&x=1",
    json.dumps({"a": LOGIN}),
    b64encode(LOGIN.encode()).decode(),
]


def hides(text: str) -> bool:
    whole = b64encode(LOGIN.encode()).decode()
    return not any(secret.lower() in text.lower() for secret in (SECRET, AUTH, whole))


@pytest.mark.parametrize(
    "text", ["image che-auth: image differs", "fetch anonymous token: unexpected status", "a=b@sha256:00"]
)
def test_words_that_are_no_secret_stay(text):
    assert redacted(text) == text


@pytest.fixture
def log():
    """What is logged, as a program would read it."""
    out = StringIO()
    configure("json", "debug", stream=out)
    yield out
    structlog.reset_defaults()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [row.key for row in SETTINGS])
def test_a_setting_that_holds_one_is_told_without_it(log, key, form):
    values = {"IMAGES": "a=registry.example/a:1.0.0", key: form}
    settings = SettingsSource(FakeCluster(configmap(**values)), {"CONFIGMAP_NAME": "settings"}, "images")
    settings.refresh()
    told = [log.getvalue(), str(settings.error), *settings.refused]
    try:
        told += map(str, read_settings(values).notes)
    except SettingsError as error:
        told += [str(error), error.hint]
    assert all(map(hides, told)), told


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_is_nearly_a_settings_is_told_without_its_value(form):
    assert all(hides(str(note)) for note in near_misses({"IMAGE": form, "IMAGE_PULL_SECRET": form}))


@pytest.mark.parametrize(
    "data",
    [
        {"auths": {f"https://bob:{SECRET}@registry.example": {"auth": "?"}}},
        {"auths": {"registry.example": {"auth": b64encode(SECRET.encode()).decode()}}},
        {"auths": {"registry.example": {"username": "bob", "password": [SECRET]}}},
        f"{SECRET} is no JSON",
    ],
)
def test_a_pull_secret_that_cannot_be_read_is_told_without_what_is_in_it(log, data):
    text = data if isinstance(data, str) else json.dumps(data)
    secret = {
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "images"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": b64encode(text.encode()).decode()},
    }
    cluster = FakeCluster(secret)
    chosen = read_settings(
        {"IMAGES": "a=r.example/a:1", "IMAGE_PULL_SECRETS": "login", "NAMESPACE": "images"}
    )
    read_credentials(cluster, chosen.settings, cluster.rights("images"))
    assert ("pull_secret_unusable" in log.getvalue(), hides(log.getvalue())) == (True, True)


def test_a_proxy_that_is_away_is_told_without_its_password(monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://bob:{SECRET}@127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(KipError) as error:
        Registries(["registry.example"]).digest("registry.example/app:1", [])
    assert hides(redacted(str(error.value)))


@pytest.mark.parametrize("form", FORMS)
def test_whatever_is_logged_is_without_it_at_any_depth(log, form):
    structlog.get_logger().info("x", text=form, deep=[{"a": (form,)}])
    assert hides(log.getvalue())


@given(
    st.text(alphabet="abz019./-_:", max_size=40),
    st.text(alphabet="abcdef0123456789", min_size=64, max_size=64),
)
def test_a_digest_is_no_password(name, digest):
    text = f"image {name}@sha256:{digest} is there"
    assert redacted(text) == text


@given(st.recursive(st.none() | st.integers() | st.text("ab=; ", max_size=5), st.lists, max_leaves=5))
def test_what_holds_none_stays_as_it_is(value):
    assert redact(value) == value
