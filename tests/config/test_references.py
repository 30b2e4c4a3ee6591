import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.config.references import LONGEST_NAME, Reference, ReferenceProblem, parse_reference

SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", Reference("docker.io", "library/busybox")),
        ("busybox:1.36", Reference("docker.io", "library/busybox", "1.36")),
        ("group/app:1", Reference("docker.io", "group/app", "1")),
        ("index.docker.io/group/app", Reference("docker.io", "group/app")),
        ("quay.io/a/b/c:1", Reference("quay.io", "a/b/c", "1")),
        ("host:5000/a:1", Reference("host:5000", "a", "1")),
        ("localhost/a", Reference("localhost", "a")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        ("Registry.example.com/a", Reference("Registry.example.com", "a")),
        ("a__b/c--d.e_f", Reference("docker.io", "a__b/c--d.e_f")),
        (f"quay.io/a/b@sha256:{SHA256}", Reference("quay.io", "a/b", "", f"sha256:{SHA256}")),
        (f"a:1@sha512:{SHA256 * 2}", Reference("docker.io", "library/a", "1", f"sha512:{SHA256 * 2}")),
        ("a:" + "t" * 128, Reference("docker.io", "library/a", "t" * 128)),
    ],
)
def test_a_reference_is_read_with_dockers_defaults(text, expected):
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "names no image", "quay.io/group/name:1.0"),
        ("https://quay.io/a/b", "starts with https://", "Write quay.io/a/b."),
        ("docker://a", "starts with docker://", "Write a."),
        ("quay.io/Group/App:V1", "capitals", "Write quay.io/group/app:V1."),
        ("Group/App:1", "capitals", "Write group/app:1."),
        ("Quay.io/App", "capitals", "Write Quay.io/app."),
        ("a b", "space", "without spaces"),
        ("a:", "tag ''", "128"),
        ("a:-x", "tag '-x'", "128"),
        ("a:" + "t" * 129, "tag", "128"),
        ("a//b", "empty part", "slash"),
        ("a_-b", "'a_-b'", "lower case"),
        ("é", "'é'", "lower case"),
        ("-x.io/a", "'-x.io'", "host"),
        ("a@sha256:12", "2 characters", "whole digest"),
        (f"a@sha256:{SHA256.upper()}", "lower case hex", "whole digest"),
        (f"a@md5:{SHA256[:32]}", "unknown kind 'md5'", "sha256"),
        ("a@", "unknown kind ''", "sha256"),
        (SHA256, "image id", "sha256"),
        ("a" * (LONGEST_NAME + 1), "longer than 255", "shorter"),
    ],
)
def test_a_fault_is_named_with_its_remedy(text, message, remedy):
    with pytest.raises(ReferenceProblem) as caught:
        parse_reference(text)
    assert message in str(caught.value)
    assert remedy in caught.value.hint


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "next",
        "main",
        "nightly",
        "stable",
        "edge",
        "1",
        "1.2",
        "v1.2",
        "22.04",
        "2024",
        "3.12-slim",
        "stable-alpine",
        "16-3.4",
        "1.2.x",
        "jammy",
        "ltsc2022",
        "1.2.3-SNAPSHOT",
        "1.2.3-latest",
        "deadbee",
        "decade",
        "feature-x",
        "1234",
    ],
)
def test_a_tag_that_may_be_pushed_again_moves(tag):
    assert Reference("docker.io", "a", tag).moving


@pytest.mark.parametrize(
    "tag",
    [
        "1.2.3",
        "v1.2.3",
        "1.2.3.4",
        "1.2.3-alpine",
        "1.2.3-rc.1",
        "7.90.0",
        "jdk-17.0.9_9",
        "20240131",
        "2024-01-31",
        "2024.01.31",
        "nightly-20240131",
        "jammy-20240111",
        "RELEASE.2024-01-01T00-00-00Z",
        "main-1a2b3c4",
        "sha-1a2b3c4d",
        "1a2b3c4",
        "v1.2-3-gabcdef01",
        "9.4-1194",
        "9.4-1194.1712345",
        "build-7",
        "b123",
        "12345",
        "4.14.0-202401151553.p0.g1",
    ],
)
def test_a_tag_that_names_one_build_stays(tag):
    assert not Reference("docker.io", "a", tag).moving


def test_no_tag_moves_and_a_digest_never_does():
    assert parse_reference("a").moving
    assert not parse_reference(f"a:latest@sha256:{SHA256}").moving


domains = st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){1,2}(:[0-9]{1,5})?", fullmatch=True)
paths = st.from_regex(
    r"[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6}){0,2}(/[a-z0-9]{1,6}){0,3}", fullmatch=True
)
tags = st.from_regex(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?", fullmatch=True)
digests = st.sampled_from(["", f"sha256:{SHA256}", f"sha512:{SHA256 * 2}"])


@given(st.builds(Reference, domains, paths, tags, digests))
def test_a_reference_reads_back_as_itself(reference):
    assert parse_reference(str(reference)) == reference


@given(st.text() | st.text(alphabet="aA0.:/@-_[] \n", max_size=300))
def test_any_text_is_a_reference_or_a_problem(text):
    try:
        reference = parse_reference(text)
    except ReferenceProblem as problem:
        remedy = problem.hint
        assert remedy
    else:
        assert parse_reference(str(reference)) == reference
