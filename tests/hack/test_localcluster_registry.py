"""hack/cluster registry log: real lines, of skopeo that pushes and containerd that pulls."""

from localcluster.registry import Request, read_requests, user_agent

LAYER = "sha256:9c05e0faec04bd1df0123f4fed6f394a63eee5ff8c2d862de118aaf081ae5d64"
INDEX = "sha256:a6a816c8746bdcaf91b2d4337f148f963d219e96602c9fd0af45beeb8fec734d"
LINES = f"""\
time="2026-11-21T05:44:27.882094291Z" level=warning msg="No HTTP secret provided - generated random secret."
10.103.0.1 - - [21/Nov/2026:05:47:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "skopeo/1.9.3"
time="2026-11-21T05:47:00.992474578Z" level=error msg="response completed with error" \
err.code="blob unknown" err.message="blob unknown to registry" http.request.uri="/v2/t/box/blobs/{LAYER}"
10.103.0.1 - - [21/Nov/2026:05:47:00 +0000] "HEAD /v2/t/box/blobs/{LAYER} HTTP/1.1" 404 157 "" "skopeo/1.9.3"
10.103.0.1 - - [21/Nov/2026:05:47:00 +0000] "POST /v2/t/box/blobs/uploads/ HTTP/1.1" 202 0 "" "skopeo/1.9.3"
10.103.0.1 - - [21/Nov/2026:05:47:01 +0000] "PUT /v2/t/box/blobs/uploads/f63e9199-0ac9-4275-9b39-03d8464421ef\
?_state=MjeJqNCo&digest=sha256%3A9c05 HTTP/1.1" 201 0 "" "skopeo/1.9.3"
10.103.0.1 - - [21/Nov/2026:05:47:01 +0000] "PUT /v2/t/box/manifests/1 HTTP/1.1" 201 0 "" "skopeo/1.9.3"
10.103.0.1 - - [21/Nov/2026:05:55:16 +0000] "GET /v2/t/box/manifests/{INDEX} HTTP/1.1" 200 405 "" \
"containerd/v2.2.2"
10.103.0.1 - - [21/Nov/2026:05:55:16 +0000] "GET /v2/t/box/blobs/{LAYER} HTTP/1.1" 200 1996978 "" \
"containerd/v2.2.2"
10.103.0.1 - - [21/Nov/2026:05:56:24 +0000] "HEAD /v2/t/box/manifests/1?ns=10.103.0.1%3A5000 HTTP/1.1" \
200 405 "" "containerd/v2.2.2"
""".splitlines()


def test_pull_is_read_whole():
    assert list(read_requests(LINES))[3] == Request(
        time="21/Nov/2026:05:55:16 +0000",
        client="10.103.0.1",
        method="GET",
        kind="blob",
        name="t/box",
        reference=LAYER,
        status=200,
        bytes=1996978,
    )


def test_a_pull_by_a_node_of_this_cluster_names_the_node():
    request = '10.0.0.1 - - [21/Nov/2026:05:55:16 +0000] "GET /v2/a/blobs/x HTTP/1.1" 200 9 "" '
    line = f'{request}"{user_agent("n1")}"'
    assert [one.client for one in read_requests([line])] == ["n1"]


def test_only_manifests_and_blobs_are_told_not_the_steps_of_an_upload():
    found = [(one.method, one.kind, one.reference, one.status) for one in read_requests(LINES)]
    assert found == [
        ("HEAD", "blob", LAYER, 404),
        ("PUT", "manifest", "1", 201),
        ("GET", "manifest", INDEX, 200),
        ("GET", "blob", LAYER, 200),
        ("HEAD", "manifest", "1", 200),
    ]


def test_repository_named_like_a_part_of_the_path():
    line = (
        '10.0.0.1 - - [21/Nov/2026:05:55:16 +0000] "GET /v2/a/blobs-of/b/manifests/x HTTP/1.1" 404 9 "" "c"'
    )
    assert [(one.name, one.reference) for one in read_requests([line])] == [("a/blobs-of/b", "x")]
