import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.config import sources
from kip.errors import KipError, SettingsError, UsageError


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "file"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def test_the_environment_is_read_when_asked(monkeypatch):
    monkeypatch.setenv("IMAGES", "a=x:1")
    assert sources.from_environment()["IMAGES"] == "a=x:1"


def test_the_pods_namespace_comes_from_the_environment_or_the_service_account(monkeypatch, tmp_path):
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    monkeypatch.setattr(sources, "NAMESPACE_FILE", tmp_path / "namespace")
    assert sources.pod_namespace() == ""
    (tmp_path / "namespace").write_text("own\n")
    assert sources.pod_namespace() == "own"
    monkeypatch.setenv("POD_NAMESPACE", "told")
    assert sources.pod_namespace() == "told"


def test_the_configmap_wins_except_with_empty_values():
    environment = {"A": "1", "B": "2"}
    assert sources.merge(environment, {"A": "3", "B": " ", "C": "4"}) == {"A": "3", "B": "2", "C": "4"}


def test_an_env_file_is_read(write):
    path = write(
        "# comment\n\nIMAGES=a=x:1;b=y:1\nexport LOG_LEVEL = 'debug'\nNAMESPACE=\"che\"\r\nAFFINITY=\n"
    )
    assert sources.from_env_file(path) == {
        "IMAGES": "a=x:1;b=y:1",
        "LOG_LEVEL": "debug",
        "NAMESPACE": "che",
        "AFFINITY": "",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nnonsense\n", ":2: 'nonsense' is no KEY=value"),
        ("=1", ":1:"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_fault_in_an_env_file_names_file_and_line(write, text, message):
    path = write(text)
    with pytest.raises(UsageError) as caught:
        sources.from_env_file(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("reader", [sources.from_env_file, sources.from_configmap_manifest])
def test_a_file_that_is_not_there_is_named(reader, tmp_path):
    with pytest.raises(UsageError, match="missing: No such file"):
        reader(tmp_path / "missing")


def test_the_configmaps_of_a_manifest_are_read_and_other_objects_passed_over(write):
    path = write(
        "apiVersion: v1\nkind: Secret\ndata: {IMAGES: no}\n---\n"
        "kind: ConfigMap\ndata:\n  IMAGES: |\n    a=x:1\n    b=y:1\n"
        "  CACHING_INTERVAL_HOURS: '2'\n  AFFINITY:\n---\n"
        "kind: List\nitems:\n- kind: ConfigMap\n  data: {CACHING_INTERVAL_HOURS: '3'}\n---\n"
    )
    assert sources.from_configmap_manifest(path) == {
        "IMAGES": "a=x:1\nb=y:1\n",
        "CACHING_INTERVAL_HOURS": "3",
        "AFFINITY": "",
    }


def test_a_json_manifest_is_read(write):
    assert sources.from_configmap_manifest(write('{"kind": "ConfigMap", "data": {"A": "1"}}')) == {"A": "1"}


def test_standard_input_is_read_for_a_dash(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: ConfigMap\ndata: {A: b}\n"))
    assert sources.from_configmap_manifest("-") == {"A": "b"}
    monkeypatch.setattr("sys.stdin", io.StringIO("A=b"))
    assert sources.from_env_file("-") == {"A": "b"}


def test_values_that_are_no_texts_are_all_named_with_their_lines(write):
    path = write(
        "kind: ConfigMap\ndata:\n  CACHING_INTERVAL_HOURS: 1\n  IMAGES: a=x:1\n  TOLERATIONS:\n  - key: a\n"
    )
    with pytest.raises(SettingsError) as caught:
        sources.from_configmap_manifest(path)
    first, second = caught.value.problems
    assert (first.key, first.value) == ("CACHING_INTERVAL_HOURS", "1")
    assert f"{path}:3:" in first.message
    assert '"1"' in first.remedy
    assert (second.key, f"{path}:6:" in second.message) == ("TOLERATIONS", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: ConfigMap\ndata:\n\tA: b\n", ":3: not YAML"),
        ("kind: Secret\n", "holds no ConfigMap"),
        ("", "holds no ConfigMap"),
        ("\x01", "not YAML"),
        ("[" * 50_000, "not YAML"),
    ],
)
def test_a_fault_in_a_manifest_names_file_and_line(write, text, message):
    with pytest.raises(UsageError, match=message):
        sources.from_configmap_manifest(write(text))


def test_keys_that_are_nearly_settings_are_noted_in_a_configmap():
    values = {
        "CACHING_INTERVALL_HOURS": "1",
        "IMAGE": "x",
        "images": "x",
        "IMAGES": "y",
        "POD_NAMESPACE": "z",
        "OTHER": "",
    }
    notes = sources.near_misses(values)
    assert [note.key for note in notes] == ["CACHING_INTERVALL_HOURS", "IMAGE", "images"]
    assert notes[0].remedy == "Did you mean CACHING_INTERVAL_HOURS?"


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("CACHING_INTERVALL_HOURS", 1),
        ("TOLERATION", 1),
        ("AFFINTIY", 1),
        ("IMAGE", 0),
        ("MY_NAMESPACE", 0),
        ("NAMESPACES", 1),
    ],
)
def test_in_the_environment_only_a_slip_of_a_finger_is_noted(name, noted):
    assert len(sources.near_misses({name: "1"}, environment=True)) == noted


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["kind: ConfigMap", "data:", "\n", "  ", "A: ", "b", "- ", "[", "{", "---\n", "*a", "&a", "? "]
        )
    ).map("".join)
)
def test_any_text_is_a_source_or_an_error_of_kips_own(text):
    for reader in (sources.from_env_file, sources.from_configmap_manifest):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(text))
            try:
                found = reader("-")
            except KipError:
                continue
            assert all(isinstance(value, str) for value in found.values())
