"""Every error that kip raises on purpose.

    KipError                exit code 1
    ├── SettingsError       2   the settings cannot be used; carries every problem found
    │   └── JobError        2   a pull job cannot be used; so does this
    ├── UsageError          2   the command line cannot be used
    ├── OwnershipError      1   the object belongs to somebody else
    ├── Fault               1   kip itself is at fault
    ├── RegistryAway        1   a registry, or the way to it, is in trouble (retry, after `retry_after`)
    ├── RegistryRefused     1   a registry does not tell what was asked
    └── ApiError            1   the API server, or the way to it
        ├── Unreachable     1   no answer, or none in time (retry)
        ├── Unauthorized    4   401
        ├── Forbidden       4   403
        ├── NotFound        1   404
        ├── Conflict        1   409 (retry after observing again)
        ├── Gone            1   410 (list again)
        ├── Invalid         1   400, 422: the object is refused; carries the causes
        ├── TooManyRequests 1   429 (retry after `retry_after`)
        └── ServerError     1   5xx (retry)

The exit codes are the command line's; `kip.cli` documents them. A library's own exception never
leaves the module that uses the library.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one setting.

    `key` is the setting (`TOLERATIONS`) or a place in it (`IMAGES[3]`, counted from 1), `value` is
    what was given (shortened where long), `message` says what is wrong, `remedy` what to write instead.
    """

    key: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}={self.value!r}: {self.message}. {self.remedy}"


class KipError(Exception):
    """What went wrong, and in `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(KipError):
    """The command line cannot be used."""

    exit_code = 2


class SettingsError(KipError):
    """The settings cannot be used; `problems` holds all of them, never only the first."""

    exit_code = 2
    title = "The settings cannot be used:"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class JobError(SettingsError):
    """A pull job cannot be used; `problems` holds all of them, with the path of the field as the key."""

    title = "The job cannot be used:"


class OwnershipError(KipError):
    """An object that kip would have to change or delete belongs to somebody else."""


class InternalError(KipError):
    """Something happened that kip's code does not know: a fault of kip's own, to be reported."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"{type(error).__name__}: {error}",
            hint="This is a fault in kip. Please report it with the lines of the log before it.",
        )


class RegistryUnavailable(KipError):
    """A registry gives no answer, or is in trouble (5xx, 429): ask later.

    `retry_after` is the seconds that it asked to wait, None when it did not say.
    """

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RegistryRefused(KipError):
    """A registry does not tell, and asking again does not help: 401, 403, 404, a certificate, a redirect.

    `missing`: it says that there is no such image.
    """

    def __init__(self, message: str, *, hint: str = "", missing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of a Status object's `details.causes`: a field path, and what is wrong there."""

    field: str
    message: str


class ApiError(KipError):
    """The API server refused a request, or could not be asked.

    `status` is the HTTP status (0 when there was no answer), `reason` the Status object's reason,
    `retry_after` the seconds the server asked to wait (None when it did not say).
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class Unreachable(ApiError):
    """No answer from the API server, or none in time."""


class Unauthorized(ApiError):
    """401: the API server does not know who is asking."""

    exit_code = 4


class Forbidden(ApiError):
    """403: a right is missing."""

    exit_code = 4


class NotFound(ApiError):
    """404: there is no such object."""


class Conflict(ApiError):
    """409: the object changed, exists already or is being deleted."""


class Gone(ApiError):
    """410: the resourceVersion is too old; list again."""


class Invalid(ApiError):
    """400 or 422: the API server refuses the object; `causes` leads to the fields."""


class TooManyRequests(ApiError):
    """429: the API server asks for patience."""


class ServerError(ApiError):
    """5xx: the API server is in trouble."""
