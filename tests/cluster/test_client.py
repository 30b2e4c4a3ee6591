"""The client on the wire, through the real `kubernetes` package."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client as kubernetes_client
from wire import Answer, serving, status_of

from kip import errors
from kip.cluster import client
from kip.cluster.api import CONFIGMAPS, DAEMONSETS, LEASES, PODS, Selection
from kip.cluster.client import KubernetesCluster

MANIFEST = {"metadata": {"name": "cache", "namespace": "images"}, "spec": {}}
PLACE = "/apis/apps/v1/namespaces/images/daemonsets"


def connected(url: str, **options: Any) -> KubernetesCluster:
    return KubernetesCluster(kubernetes_client.ApiClient(configured(url)), **options)


def configured(url: str) -> kubernetes_client.Configuration:
    configuration = kubernetes_client.Configuration(host=url)
    configuration.retries = False
    return configuration


def asked(call, *answers):
    """Return what `call` gives, and the requests it made."""
    with serving(*answers) as (server, url):
        return call(connected(url)), server.requests


def refused(*answers) -> errors.ApiError:
    """Return the error that a GET ends with."""
    with serving(*answers) as (_, url), pytest.raises(errors.ApiError) as caught:
        connected(url).get(DAEMONSETS, "images", "cache")
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (409, errors.Conflict),
        (410, errors.Gone),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (418, errors.ServerError),
    ],
)
def test_each_refusal_has_its_own_error(status, kind):
    assert type(refused(status_of(status))) is kind


@pytest.mark.parametrize(("off", "ahead"), [(timedelta(hours=1), 60), (timedelta(seconds=2), 0)])
def test_the_servers_clock_is_learned_from_its_answers(off, ahead):
    with serving(Answer()) as (_, url):
        cluster = connected(url, now=lambda: datetime.now(UTC) - off)
        cluster.get(DAEMONSETS, "images", "cache")
        assert round(cluster.ahead / timedelta(minutes=1)) == ahead


def test_an_answer_without_a_date_leaves_the_clock_as_it_is():
    with serving(Answer(headers={"Date": "soon"})) as (_, url):
        cluster = connected(url, now=lambda: datetime.now(UTC) - timedelta(hours=1))
        cluster.get(DAEMONSETS, "images", "cache")
        assert cluster.ahead == timedelta()


def test_a_refusal_says_what_was_asked_and_what_was_answered():
    assert str(refused(status_of(403, "no way"))) == f"GET {PLACE}/cache: 403: no way"


def test_a_missing_right_comes_with_a_hint():
    assert "Role" in refused(status_of(403)).hint


def test_the_causes_lead_to_the_fields():
    found = refused(status_of(422, causes=[{"field": "spec.x", "message": "bad"}]))
    assert found.causes == (errors.Cause("spec.x", "bad"),)


def test_a_proxys_page_is_shown_shortened():
    assert len(str(refused(Answer(502, b"<html>" + b"x" * 5000)))) < 400


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(429, {}, {"Retry-After": "7"}), 7.0),
        (Answer(429, {}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0.0),
        (Answer(429, {}, {"Retry-After": "Wed, 21 Oct 2115 07:28:00 GMT"}), 600.0),
        (Answer(429, {}, {"Retry-After": "soon"}), None),
        (Answer(429, {}, {"Retry-After": "nan"}), None),
        (Answer(429, {}, {"Retry-After": "inf"}), 600.0),
        (Answer(429, {}, {"Retry-After": "1e300"}), 600.0),
        (Answer(429, {}, {"Retry-After": "-5"}), 0.0),
        (Answer(429, {"kind": "Status", "details": "later"}), None),
        (status_of(429, retryAfterSeconds=3), 3.0),
        (status_of(429), None),
    ],
)
def test_the_servers_wish_to_wait_is_read(answer, seconds):
    assert refused(answer).retry_after == seconds


def test_a_dropped_connection_is_unreachable():
    assert isinstance(refused(Answer(drop=True)), errors.Unreachable)


def test_silence_is_unreachable():
    with serving(Answer(hang=True)) as (_, url), pytest.raises(errors.Unreachable) as caught:
        connected(url, read_seconds=0.05).get(DAEMONSETS, "images", "cache")
    assert "timed out" in str(caught.value)


def test_nobody_listening_is_unreachable():
    with pytest.raises(errors.Unreachable) as caught:
        connected("http://127.0.0.1:1").get(DAEMONSETS, "images", "cache")
    assert "refused" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"'])
def test_an_answer_that_is_no_object_is_the_servers_error(body):
    assert isinstance(refused(Answer(200, body)), errors.ServerError)


def test_a_missing_object_is_none():
    found, _ = asked(lambda cluster: cluster.get(DAEMONSETS, "images", "cache"), status_of(404))
    assert found is None


@pytest.mark.parametrize("body", [b"<html>404</html>", b"404 page not found", b"", b"{}"])
def test_a_proxys_404_does_not_make_an_object_missing(body):
    assert isinstance(refused(Answer(404, body)), errors.ServerError)


def test_a_long_list_is_read_in_pages():
    first = Answer(body={"metadata": {"continue": "more", "resourceVersion": "7"}, "items": [1]})
    second = Answer(body={"metadata": {"resourceVersion": "7"}, "items": [2]})
    found, requests = asked(
        lambda cluster: cluster.list_all(Selection(PODS, "images", labels="a=b")), first, second
    )
    assert (found.items, found.version, requests[1].query["continue"]) == ((1, 2), "7", "more")


def test_a_selection_becomes_selectors():
    answer = Answer(body={"metadata": {}, "items": []})
    _, (request,) = asked(
        lambda cluster: cluster.list_all(Selection(CONFIGMAPS, "images", "mine", "a=b")), answer
    )
    assert (request.query["fieldSelector"], request.query["labelSelector"]) == ("metadata.name=mine", "a=b")


def test_a_dry_run_takes_another_name_and_is_strict():
    _, (request,) = asked(
        lambda cluster: cluster.create(DAEMONSETS, "images", MANIFEST, dry_run=True), Answer()
    )
    assert (request.body["metadata"], request.query["dryRun"], request.query["fieldValidation"]) == (
        {"namespace": "images", "generateName": "cache-"},
        "All",
        "Strict",
    )


def test_create_signs_with_the_field_manager():
    _, (request,) = asked(lambda cluster: cluster.create(DAEMONSETS, "images", MANIFEST), Answer())
    assert (request.method, request.path, request.query) == (
        "POST",
        PLACE,
        {"fieldManager": "kip", "fieldValidation": "Strict"},
    )


def test_update_replaces_the_object_as_it_was_seen():
    seen = {"metadata": {"name": "cache", "resourceVersion": "7"}, "spec": {}}
    answer = Answer(body=seen | {"metadata": {"name": "cache", "resourceVersion": "8"}})
    found, (request,) = asked(lambda cluster: cluster.update(LEASES, "images", "cache", seen), answer)
    assert (request.method, request.path, request.body, request.query) == (
        "PUT",
        "/apis/coordination.k8s.io/v1/namespaces/images/leases/cache",
        seen,
        {"fieldManager": "kip", "fieldValidation": "Strict"},
    )
    assert found["metadata"]["resourceVersion"] == "8"


def test_an_update_of_what_changed_meanwhile_is_a_conflict():
    with pytest.raises(errors.Conflict):
        asked(lambda cluster: cluster.update(LEASES, "images", "cache", MANIFEST), status_of(409))


def test_apply_is_server_side_and_forced():
    _, (request,) = asked(lambda cluster: cluster.apply(DAEMONSETS, "images", MANIFEST), Answer())
    assert (request.method, request.path, request.headers["Content-Type"], request.query["force"]) == (
        "PATCH",
        f"{PLACE}/cache",
        "application/apply-patch+yaml",
        "true",
    )


def test_patch_sends_the_operations():
    operations = [{"op": "test", "path": "/metadata/uid", "value": "u"}]
    _, (request,) = asked(lambda cluster: cluster.patch(DAEMONSETS, "images", "cache", operations), Answer())
    assert (request.headers["Content-Type"], request.body) == ("application/json-patch+json", operations)


@pytest.mark.parametrize(("orphan", "propagation"), [(True, "Orphan"), (False, "Background")])
def test_delete_names_the_one_object(orphan, propagation):
    _, (request,) = asked(
        lambda cluster: cluster.delete(DAEMONSETS, "images", "cache", uid="u", orphan=orphan), Answer()
    )
    assert (request.body["preconditions"], request.body["propagationPolicy"]) == ({"uid": "u"}, propagation)


def test_deleting_what_is_gone_is_fine():
    found, _ = asked(lambda cluster: cluster.delete(DAEMONSETS, "images", "cache", uid="u"), status_of(404))
    assert found is None


def test_rights_are_asked_for_in_one_request():
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    found, (request,) = asked(
        lambda cluster: cluster.rights("images"), Answer(body={"status": {"resourceRules": [rule]}})
    )
    assert (found.allow("get", "pods"), request.body["spec"]) == (True, {"namespace": "images"})


def test_the_api_groups_are_listed():
    found, _ = asked(lambda cluster: cluster.api_groups(), Answer(body={"groups": [{"name": "apps"}]}))
    assert found == {"apps"}


def watched(*chunks: bytes, version="5"):
    answer = Answer(chunks=chunks)
    return asked(
        lambda cluster: list(cluster.watch(Selection(DAEMONSETS, "images", "cache"), version, 60)), answer
    )


def line(kind: str, **metadata: str) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": metadata}}).encode() + b"\n"


def test_a_watch_goes_on_from_a_version_and_asks_for_bookmarks():
    _, (request,) = watched(line("BOOKMARK", resourceVersion="9"))
    assert {
        key: request.query[key]
        for key in ("watch", "resourceVersion", "allowWatchBookmarks", "timeoutSeconds")
    } == {
        "watch": "true",
        "resourceVersion": "5",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "60",
    }


def test_lines_may_come_in_pieces():
    whole = line("ADDED", name="a", resourceVersion="6") + line("DELETED", name="a", resourceVersion="7")
    events, _ = watched(whole[:10], whole[10:70], whole[70:])
    assert [(event.type, event.version) for event in events] == [("ADDED", "6"), ("DELETED", "7")]


def test_a_last_line_that_was_cut_off_is_left_out():
    events, _ = watched(line("ADDED", resourceVersion="6"), b'{"type": "ADD')
    assert [event.type for event in events] == ["ADDED"]


def test_a_version_that_is_too_old_is_gone():
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
    with pytest.raises(errors.Gone):
        watched(json.dumps(error).encode() + b"\n")


@pytest.mark.parametrize(
    "text", [b"<html>\n", b"[]\n", b'{"type": "ADDED"}\n', b'{"type": "ERROR", "object": "x"}\n']
)
def test_what_is_no_event_is_the_servers_error(text):
    with pytest.raises(errors.ServerError):
        watched(text)


def test_a_refused_watch_has_the_refusals_error():
    with serving(status_of(410)) as (_, url), pytest.raises(errors.Gone):
        list(connected(url).watch(Selection(DAEMONSETS, "images"), "1", 60))


def kubeconfig(folder, url: str, **user: str) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config), "utf-8")
    return str(path)


def tokens_sent(folder, *, replaced_by: str, answers: list[Answer]) -> list[str]:
    """Return the tokens of three requests; before the second the token file is written anew."""
    token = folder / "token"
    token.write_text("first", "utf-8")
    with serving(*answers) as (server, url):
        cluster = client.connect(kubeconfig(folder, url, tokenFile=str(token)))
        for replacement in (replaced_by, replaced_by, replaced_by):
            with suppress(errors.Unauthorized):
                cluster.get(DAEMONSETS, "images", "cache")
            token.write_text(replacement, "utf-8")
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]


def test_a_token_that_is_refused_is_read_anew(tmp_path):
    answers = [Answer(), status_of(401), Answer()]
    assert tokens_sent(tmp_path, replaced_by="second", answers=answers) == ["first", "first", "second"]


def test_a_token_file_that_is_empty_for_a_moment_changes_nothing(tmp_path):
    answers = [Answer(), status_of(401), Answer()]
    assert tokens_sent(tmp_path, replaced_by="", answers=answers) == ["first"] * 3


def test_a_kubeconfig_that_is_being_written_changes_nothing(tmp_path):
    with serving(status_of(401), Answer(body={"kind": "DaemonSet"})) as (_, url):
        path = kubeconfig(tmp_path, url, token="first")
        cluster = client.connect(path)
        (tmp_path / "kubeconfig").write_text("", "utf-8")
        with pytest.raises(errors.Unauthorized):
            cluster.get(DAEMONSETS, "images", "cache")
        assert cluster.get(DAEMONSETS, "images", "cache") == {"kind": "DaemonSet"}


def test_after_a_certificate_that_is_not_trusted_the_authority_is_read_anew():
    with serving(Answer(body={"kind": "DaemonSet"})) as (_, url):
        # It speaks no TLS at all, which fails as a certificate does.
        api = kubernetes_client.ApiClient(configured(url.replace("http:", "https:")))
        good = kubernetes_client.ApiClient(configured(url))
        cluster = KubernetesCluster(api, renewed=lambda: good)
        with pytest.raises(errors.Unreachable):
            cluster.get(DAEMONSETS, "images", "cache")
        assert cluster.get(DAEMONSETS, "images", "cache") == {"kind": "DaemonSet"}


def test_a_kubeconfig_that_is_missing_is_kips_own_error(tmp_path):
    with pytest.raises(errors.KipError) as caught:
        client.connect(str(tmp_path / "none"))
    assert "KUBECONFIG" in caught.value.hint


def test_outside_a_cluster_there_must_be_a_kubeconfig(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.KipError):
        client.connect()


def test_each_request_is_told_by_verb_and_code():
    told: list[tuple[str, str]] = []
    with serving(Answer(body={"items": []}), status_of(404), Answer(drop=True)) as (_, url):
        cluster = connected(url, answered=lambda verb, code: told.append((verb, code)))
        cluster.list_all(Selection(DAEMONSETS, "images"))
        cluster.get(DAEMONSETS, "images", "cache")
        with pytest.raises(errors.Unreachable):
            cluster.get(DAEMONSETS, "images", "cache")
    assert told == [("GET", "200"), ("GET", "404"), ("GET", "none")]


def test_a_watch_is_told_as_such():
    told: list[tuple[str, str]] = []
    with serving(Answer(chunks=(b"{}\n",))) as (_, url), suppress(errors.ApiError):
        cluster = connected(url, answered=lambda verb, code: told.append((verb, code)))
        list(cluster.watch(Selection(DAEMONSETS, "images"), "1", 1))
    assert told == [("WATCH", "200")]
