"""The one implementation of `Cluster`, on the official `kubernetes` package.

Only the package's configuration, authentication and transport are used, with plain dicts: its typed models
cost 5 to 14 times the CPU on lists, and 26 MiB more. Its own retries are off: kip's loop decides about these.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes import client, config

from kip import __version__
from kip.cluster.api import PODS, Listing, Manifest, Resource, Selection, WatchEvent
from kip.cluster.responses import refusal, watch_event
from kip.core.rights import Rights, read_rights
from kip.core.rollout.ownership import FIELD_MANAGER
from kip.errors import KipError, NotFound, ServerError, Unauthorized, Unreachable

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
WATCH_SILENCE_SECONDS = 120.0
"""A watch without a line for so long is dead: the server sends bookmarks about once a minute."""

PAGE = 500
PAGE_OF_PODS = 100
"""A pod of 30 containers is 35 kB: so few at a time that a keeper of 5,000 nodes stays small."""

_JSON = "application/json"
_JSON_PATCH = "application/json-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
NEARLY_THE_SAME = timedelta(seconds=5)
"""Clocks that differ by less are taken for the same: an answer takes a while, and tells whole seconds."""

Query = list[tuple[str, str]]


Answered = Callable[[str, str], None]


def connect(
    kubeconfig: str = "", context: str = "", *, answered: Answered = lambda _verb, _code: None
) -> "KubernetesCluster":
    """Return the cluster of the kubeconfig file, or, without one, of the ServiceAccount of this pod.

    Once its credentials or its authority are refused they are read anew. `answered` is told of each request.
    """
    return KubernetesCluster(
        _api_client(kubeconfig, context),
        renewed=lambda: _api_client(kubeconfig, context),
        answered=answered,
    )


def _api_client(kubeconfig: str, context: str) -> Any:
    configuration = client.Configuration()
    by = f" by {kubeconfig}" if kubeconfig else ""
    try:
        if kubeconfig:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, context=context or None, client_configuration=configuration, persist_config=False
            )
        else:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise KipError(
            f"no way to the cluster{by}: {str(error).strip() or type(error).__name__}",
            hint="Set KUBECONFIG to a kubeconfig file, or run kip in a pod with a ServiceAccount.",
        ) from error
    if not configuration.verify_ssl:
        # The kubeconfig says so itself; a warning for each request would bury everything else.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    configuration.retries = False
    configuration.keep_alive = True
    api = client.ApiClient(configuration)
    api.user_agent = f"kip/{__version__}"
    return api


class KubernetesCluster:
    """A Kubernetes API server over HTTP. May be used from several threads.

    `api` is the package's ApiClient, `renewed` makes another with the credentials as they are now, and
    `read_seconds` is how long an answer may take. `answered` is told of each request its verb (the HTTP
    method, or WATCH) and the status code, or `none` where no answer came. `now` is wall time.
    """

    def __init__(
        self,
        api: Any,
        *,
        renewed: Callable[[], Any] | None = None,
        read_seconds: float = READ_SECONDS,
        answered: Answered = lambda _verb, _code: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._now = now
        self._ahead = timedelta()
        self._answered = answered
        self._renewed = renewed
        self._read_seconds = read_seconds

    @property
    def ahead(self) -> timedelta:
        """How far its clock was ahead of ours at its last answer; zero where they are nearly the same."""
        return self._ahead

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return one object, None if there is none."""
        try:
            return self._call("GET", resource.path(namespace, name))
        except NotFound:
            return None

    def list_all(self, selection: Selection) -> Listing:
        """Return all objects of the selection, read in pages."""
        items: list[Manifest] = []
        version = ""
        for page in self.pages(selection):
            items += page.items
            version = page.version
        return Listing(tuple(items), version)

    def pages(self, selection: Selection) -> Iterator[Listing]:
        """Yield the objects of the selection page by page: thousands of pods need not be held at once."""
        path = selection.resource.path(selection.namespace)
        limit = PAGE_OF_PODS if selection.resource is PODS else PAGE
        query = [*_selectors(selection), ("limit", str(limit))]
        page = self._call("GET", path, query)
        while True:
            metadata = page.get("metadata", {})
            yield Listing(tuple(page.get("items") or ()), metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            page = self._call("GET", path, [*query, ("continue", metadata["continue"])])

    def watch(self, selection: Selection, version: str, seconds: int) -> Iterator[WatchEvent]:
        """Yield what happens after `version`, for `seconds` at most. Raises Gone when that is too old."""
        query = [
            *_selectors(selection),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(seconds)),
        ]
        path = selection.resource.path(selection.namespace)
        response = self._send("GET", path, query, read_seconds=WATCH_SILENCE_SECONDS)
        try:
            for line in _lines(response.response):
                yield watch_event(line)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"watch of {path} broke off: {error}") from error
        finally:
            # Not release_conn: what is left of the stream must not reach the connection's next user.
            response.response.close()

    def create(
        self, resource: Resource, namespace: str, manifest: Manifest, *, dry_run: bool = False
    ) -> Manifest:
        """Create one object. With `dry_run` it is validated and defaulted, strictly, and nothing changes."""
        if dry_run:
            # A name of its own, so that it can be tried while the object of that name exists.
            metadata = dict(manifest["metadata"])
            metadata["generateName"] = f"{metadata.pop('name')}-"
            manifest = {**manifest, "metadata": metadata}
        return self._call("POST", resource.path(namespace), _writing(dry_run=dry_run), body=manifest)

    def update(self, resource: Resource, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """Replace one object. Raises Conflict if it is no longer at the resourceVersion of `manifest`."""
        return self._call("PUT", resource.path(namespace, name), _writing(), body=manifest)

    def update_status(self, resource: Resource, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """Replace the status of one object, and nothing else of it. Raises Conflict as `update` does."""
        return self._call("PUT", f"{resource.path(namespace, name)}/status", _writing(), body=manifest)

    def apply(
        self, resource: Resource, namespace: str, manifest: Manifest, *, dry_run: bool = False
    ) -> Manifest:
        """Server-side apply one object as field manager `kip`, by force."""
        return self._call(
            "PATCH",
            resource.path(namespace, manifest["metadata"]["name"]),
            [*_writing(dry_run=dry_run), ("force", "true")],
            body=manifest,
            content_type=_APPLY_PATCH,
        )

    def patch(self, resource: Resource, namespace: str, name: str, operations: list[Manifest]) -> Manifest:
        """Change one object by JSON Patch operations (RFC 6902)."""
        path = resource.path(namespace, name)
        return self._call("PATCH", path, _writing(), body=operations, content_type=_JSON_PATCH)

    def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, orphan: bool = False
    ) -> None:
        """Delete exactly the object with that uid; with `orphan` its pods stay. Gone already is fine."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Orphan" if orphan else "Background",
        }
        try:
            self._call("DELETE", resource.path(namespace, name), body=options)
        except NotFound:
            return

    def rights(self, namespace: str) -> Rights:
        """Return what the caller may do in `namespace`."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        return read_rights(self._call("POST", path, body=review))

    def api_groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""
        return frozenset(group["name"] for group in self._call("GET", "/apis").get("groups", ()))

    def _call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Any = None,
        content_type: str = _JSON,
    ) -> Manifest:
        response = self._send(method, path, query or [], body=body, content_type=content_type)
        try:
            answer = json.loads(response.read())
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{method} {path}: the answer broke off: {error}") from error
        except ValueError as error:
            raise ServerError(f"{method} {path}: the answer is no JSON", status=response.status) from error
        if not isinstance(answer, dict):
            raise ServerError(f"{method} {path}: the answer is no object", status=response.status)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        body: Any = None,
        content_type: str = _JSON,
        read_seconds: float | None = None,
    ) -> Any:
        headers = {"Accept": _JSON, "Content-Type": content_type}
        verb = "WATCH" if ("watch", "true") in query else method
        try:
            request = self._api.param_serialize(
                method,
                path,
                query_params=query,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._api.call_api(
                *request, _request_timeout=(CONNECT_SECONDS, read_seconds or self._read_seconds)
            )
            self._answered(verb, str(response.status))
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(method, path, response.status, response.headers, response.read())
            self._compare_clocks(response.headers)
        except Unauthorized:
            self._renew()
            raise
        except (urllib3.exceptions.HTTPError, client.ApiException, config.ConfigException, OSError) as error:
            self._answered(verb, "none")
            # The package makes an ApiException of it.
            if isinstance(error.__context__, urllib3.exceptions.SSLError):
                self._renew()
            raise Unreachable(
                f"{method} {path}: no answer: {_sentence(error)}",
                hint="Is the API server reachable from here, and are the credentials readable?",
            ) from error
        return response

    def _compare_clocks(self, headers: Mapping[str, str]) -> None:
        with suppress(ValueError, TypeError):  # a proxy's, or none at all
            ahead = parsedate_to_datetime(headers.get("Date", "")) - self._now()
            self._ahead = ahead if abs(ahead) > NEARLY_THE_SAME else timedelta()

    def _renew(self) -> None:
        """Read token, certificates and authority anew, for the next request.

        The package reads the token file of a kubeconfig only once, and the file of the authority too.
        """
        if not self._renewed:
            return
        # Files that are being written may be no configuration, or one without a token, which would make us
        # anonymous: then what we have is kept, and they are read again at the next refusal.
        with suppress(KipError):
            api = self._renewed()
            if api.configuration.api_key or not self._api.configuration.api_key:
                self._api = api


def _selectors(selection: Selection) -> Query:
    query: Query = []
    name = f"metadata.name={selection.name}" if selection.name else ""
    if fields := ",".join(filter(None, [name, selection.fields])):
        query.append(("fieldSelector", fields))
    if selection.labels:
        query.append(("labelSelector", selection.labels))
    return query


def _writing(*, dry_run: bool = False) -> Query:
    # Strict: a misspelt field is an error, not silently dropped.
    query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
    return [*query, ("dryRun", "All")] if dry_run else query


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    """Yield the complete lines of a streamed answer; a last line without its end was cut off."""
    rest = b""
    for chunk in response.stream(amt=None):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())


def _sentence(error: Exception) -> str:
    """Return the error's own words, without the objects that urllib3 prints before them."""
    text = str(getattr(error, "reason", None) or error).strip().replace("\n", " ")
    return text.partition(": ")[2] if text.startswith("<") else text or type(error).__name__
