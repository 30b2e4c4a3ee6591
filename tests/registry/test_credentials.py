import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.config.diagnostics import Unreadable
from kip.config.references import parse_reference
from kip.registry.credentials import Credential, find, read_pull_secret


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config_json(text: str) -> dict:
    """Return a Secret of the newer type with this text."""
    return {
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"namespace": "images", "name": "pull"},
        "data": {".dockerconfigjson": encode(text)},
    }


def with_entry(address: str, **entry: object) -> dict:
    return config_json(json.dumps({"auths": {address: entry}}))


def of(registry: str, path: str = "") -> Credential:
    return Credential(registry, path, "ann", "secret")


def found(image: str, *credentials: Credential) -> Credential | None:
    return find(credentials, parse_reference(image))


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": encode("ann:se:cret")},
        {"auth": encode("ann:se:cret").rstrip("=") + "\n"},
        {"username": "ann", "password": "se:cret"},
        {"username": "other", "password": "other", "auth": encode("ann:se:cret"), "email": "a@b"},
    ],
)
def test_a_user_is_read_from_auth_or_else_from_username_and_password(entry):
    [credential] = read_pull_secret(with_entry("quay.io", **entry))
    assert (credential.username, credential.password) == ("ann", "se:cret")


@pytest.mark.parametrize(
    ("address", "registry", "path"),
    [
        ("quay.io", "quay.io", ""),
        ("https://quay.io/", "quay.io", ""),
        ("http://host:5000/v2/", "host:5000", ""),
        ("https://index.docker.io/v1/", "index.docker.io", ""),
        ("quay.io/group/app", "quay.io", "group/app"),
        ("quay.io/v2/group/", "quay.io", "group"),
        ("*.example.com", "*.example.com", ""),
    ],
)
def test_an_address_is_read_as_registry_and_path(address, registry, path):
    [credential] = read_pull_secret(with_entry(address, username="ann", password="secret"))
    assert (credential.registry, credential.path) == (registry, path)


def test_the_older_form_has_the_registries_at_its_top():
    text = json.dumps({"quay.io": {"username": "ann", "password": "secret"}})
    secret = {"type": "kubernetes.io/dockercfg", "data": {".dockercfg": encode(text)}}
    assert read_pull_secret(secret) == (of("quay.io"),)


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"type": "Opaque", "data": {".dockerconfigjson": encode("{}")}},
        {"type": "kubernetes.io/dockercfg", "data": {".dockerconfigjson": encode("{}")}},
        {"type": "kubernetes.io/dockerconfigjson", "data": None},
        config_json("{}"),
        config_json('{"auths": null}'),
        with_entry("quay.io"),
        with_entry("quay.io", identitytoken="secret"),
    ],
)
def test_a_secret_may_hold_no_credential(secret):
    assert read_pull_secret(secret) == ()


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ({**config_json(""), "data": {".dockerconfigjson": "hunter2!"}}, "is not JSON in base64"),
        ({**config_json(""), "data": {".dockerconfigjson": 7}}, "is not JSON in base64"),
        (config_json("hunter2"), "is not JSON in base64"),
        (config_json("[" * 100_000), "is not JSON in base64"),
        (config_json('["hunter2"]'), "has no mapping of registries"),
        (config_json('{"auths": "hunter2"}'), "has no mapping of registries"),
        (config_json('{"auths": {"quay.io": "hunter2"}}'), "has no mapping for quay.io"),
        (with_entry("quay.io", auth="hunter2!"), "has an auth for quay.io that is not base64"),
        (with_entry("quay.io", auth="/w=="), "has an auth for quay.io that is not base64"),
        (with_entry("quay.io", auth=["hunter2"]), "has an auth for quay.io that is not base64"),
        (with_entry("quay.io", auth=encode("hunter2")), "that is not username:password"),
        (with_entry("quay.io", username="ann", password=["hunter2"]), "for quay.io that is no text"),
    ],
)
def test_a_malformed_secret_is_named_and_never_shown(secret, message):
    with pytest.raises(Unreadable) as caught:
        read_pull_secret(secret)
    assert str(caught.value).startswith("Secret images/pull: .dockerconfigjson ")
    assert message in str(caught.value)
    assert "hunter2" not in f"{caught.value!r} {caught.value.hint}"
    assert caught.value.__cause__ is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["auths", "auth", "username", "password", "a.b/c"]), inner)
        ),
    )
)
def test_no_text_makes_reading_fail_otherwise_than_by_its_own_error(value):
    try:
        read_pull_secret(config_json(json.dumps(value)))
    except Unreadable:
        return


def test_a_credential_shows_neither_user_nor_password():
    assert (
        repr(Credential("quay.io", "group", "ann", "secret"))
        == "Credential(registry='quay.io', path='group')"
    )


@pytest.mark.parametrize(
    ("image", "credential"),
    [
        ("quay.io/group/app:1", of("quay.io")),
        ("quay.io/group/app:1", of("quay.io", "group")),
        ("quay.io/group/app:1", of("quay.io", "group/app")),
        ("host:5000/app", of("host:5000")),
        ("[::1]:5000/app", of("[::1]:5000")),
        ("a.example.com/app", of("*.example.com")),
        ("a.example.com:5000/app", of("*.example.com:5000")),
        ("eu-1.example.com/app", of("eu-?.*.com")),
        ("busybox", of("index.docker.io")),
        ("docker.io/group/app", of("index.docker.io")),
        ("index.docker.io/group/app", of("index.docker.io")),
        ("busybox", of("docker.io")),
        ("busybox", of("docker.io", "library")),
    ],
)
def test_a_credential_fits(image, credential):
    assert found(image, credential) is credential


@pytest.mark.parametrize(
    ("image", "credential"),
    [
        ("quay.io/group/app", of("other.io")),
        ("quay.io/groups/app", of("quay.io", "group")),
        ("quay.io/group/app", of("quay.io", "group/app/more")),
        ("host:5000/app", of("host")),
        ("host.io/app", of("host.io:5000")),
        ("host.io/app", of("host.io:443")),
        ("a.b.example.com/app", of("*.example.com")),
        ("example.com/app", of("*.example.com")),
        ("a.example.com:5000/app", of("*.example.com")),
        ("quay.io/app", of("index.docker.io")),
        ("busybox", of("registry-1.docker.io")),
        ("library/busybox", of("library")),
    ],
)
def test_a_credential_does_not_fit(image, credential):
    assert found(image, credential) is None


def test_the_longest_path_wins_then_the_exact_host_then_the_first():
    glob, host, group = of("*.example.com"), of("a.example.com"), of("*.example.com", "group")
    again = Credential("a.example.com", "", "bob", "other")
    assert found("a.example.com/group/app", glob, host, group) is group
    assert found("a.example.com/app", glob, host, again, group) is host


def test_docker_io_by_its_own_name_wins_over_index_docker_io():
    index, own = of("index.docker.io"), of("docker.io")
    assert found("busybox", index, own) is own
