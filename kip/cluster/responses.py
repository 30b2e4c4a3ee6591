"""What the API server answers, read into kip's own words: refusals and the lines of a watch."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from kip.cluster.api import WatchEvent
from kip.errors import (
    ApiError,
    Cause,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)

TEXT_LIMIT = 256
"""Of an answer that is no Status object (a proxy's page) no more than this is shown."""

LONGEST_RETRY_AFTER = 600.0
"""A server that asks for more patience is asked again nevertheless: nobody means a day, or for ever."""

_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
_HINTS: dict[type[ApiError], str] = {
    Unauthorized: "The token or certificate is not accepted: renew the kubeconfig or the token.",
    Forbidden: "Grant the verb to the ServiceAccount by a Role and RoleBinding in that namespace.",
}


def refusal(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the error for an answer with an HTTP status of 400 or more.

    Only the API server itself can say that there is no such object; some proxy's 404 means nothing.
    """
    answer = _status_object(body)
    message = answer.get("message") or body[:TEXT_LIMIT].decode(errors="replace").strip() or "no message"
    return _error(status, f"{method} {path}: {status}: {message}", answer, headers)


def watch_event(line: bytes) -> WatchEvent:
    """Read one line of a watch. An ERROR line is raised as the error that its Status object describes."""
    try:
        event = json.loads(line)
        kind, found = event["type"], {**event["object"]}
    except (ValueError, TypeError, KeyError) as error:
        shown = line[:TEXT_LIMIT].decode(errors="replace")
        raise ServerError(f"the watch sent what is no event: {shown}") from error
    if kind == "ERROR":
        code = found.get("code")
        raise _error(
            code if isinstance(code, int) else 0, f"watch: {found.get('message', 'no message')}", found, {}
        )
    return WatchEvent(kind, found)


def _error(status: int, message: str, answer: dict[str, Any], headers: Mapping[str, str]) -> ApiError:
    kind = _BY_STATUS.get(status, ServerError) if answer or status != HTTPStatus.NOT_FOUND else ServerError
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    return kind(
        message,
        hint=_HINTS.get(kind, ""),
        status=status,
        reason=answer.get("reason", ""),
        causes=tuple(
            Cause(cause.get("field", ""), cause.get("message", "")) for cause in details.get("causes") or ()
        ),
        retry_after=_retry_after(headers.get("Retry-After"), details),
    )


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _retry_after(header: str | None, details: Mapping[str, Any]) -> float | None:
    """Return the seconds that the server asks to wait: by header (a number or a date), or in the details."""
    seconds = _seconds(header) if header else details.get("retryAfterSeconds") or None
    if not isinstance(seconds, int | float) or math.isnan(seconds):
        return None
    return float(min(max(seconds, 0.0), LONGEST_RETRY_AFTER))


def _seconds(header: str) -> float | None:
    try:
        return float(header)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
