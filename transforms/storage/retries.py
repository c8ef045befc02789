"""Storage errors: which are retried, which end the job, and the retry loop.

*Transient* errors (5xx, throttling, timeouts, dropped connections, damaged transfers) are retried with
backoff and jitter; if they persist, the job fails. *Fatal* errors (a full or read-only disk) fail the job at
once. All others (404, 403, …) are permanent and fail one bracket.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, cast

import tenacity
from apache_beam.io.filesystem import BeamIOError

from lutfuse.transforms.counters import NAMESPACE, count

ATTEMPTS = 8
FIRST_WAIT_S = 0.5  # doubles with each attempt: 8 attempts take about a minute
LONGEST_WAIT_S = 30.0

# These fail every bracket alike, so they fail the job.
_FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
# Transient errors that S3 reports with status 400.
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "BadDigest", "IncompleteBody"}
# Storage clients have their own classes for network errors, without a common base.
_TRANSIENT_NAMES = (
    "ChecksumError",
    "ChunkedEncoding",
    "ConnectionClosed",
    "ConnectionError",
    "DataCorruption",
    "IncompleteRead",
    "ProtocolError",
    "ResponseStreaming",
    "Timeout",
    "TransportError",
)
_NO_CREDENTIALS = ("Credentials", "InvalidOperation", "RefreshError", "TokenRetrieval", "SSOToken")
_SIGN_IN = {
    "gs": "run 'gcloud auth application-default login' or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
}

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(NAMESPACE)


class StorageError(OSError):
    """An error of an object store for which Python has no class of its own."""


class ShortReadError(ConnectionError):
    """Another number of bytes was received than the object holds."""


def status_code(error: BaseException) -> int | None:
    """HTTP status of a storage client's error, or None."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return cast("int | None", response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return code if isinstance(code, int) else None


def _error_code(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the errors that Beam wrapped in it, and what each was raised from."""
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None:
            continue
        yield current
        details = getattr(current, "exception_details", None)
        inner = list(details.values()) if isinstance(details, dict) else []
        pending += [e for e in inner if isinstance(e, BaseException)]
        pending.append(current.__cause__)


def is_transient(error: BaseException) -> bool:
    """Whether a retry may help: server errors, throttling, timeouts, dropped connections."""
    for cause in causes(error):
        if isinstance(cause, (TimeoutError, ConnectionError)) or status_code(cause) in _TRANSIENT_STATUS:
            return True
        if _error_code(cause) in _TRANSIENT_CODES or _named(cause, _TRANSIENT_NAMES):
            return True
    return False


def _named(error: BaseException, parts: tuple[str, ...]) -> bool:
    return any(part in type(error).__name__ for part in parts)


def is_fatal(error: BaseException) -> bool:
    """Whether the error fails the job rather than one bracket: a full disk, or storage that is down."""
    if is_transient(error):
        return True
    return any(isinstance(c, OSError) and c.errno in _FATAL_ERRNO for c in causes(error))


def explain(error: BaseException) -> str:
    """The error as one line for messages, without Beam's wrapper."""
    inner = [c for c in causes(error) if not isinstance(c, BeamIOError)]
    chosen = inner[0] if inner else error
    return f"{type(chosen).__name__}: {chosen}".splitlines()[0]


def retrying(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`operation(*args, **kwargs)`, retried after transient errors; raises the last error unchanged."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        before_sleep=_count_retry,
        reraise=True,
    )
    return attempts(operation, *args, **kwargs)


def _count_retry(state: tenacity.RetryCallState) -> None:
    count("storage-retries")
    error = state.outcome.exception() if state.outcome else None
    _log.info("attempt %d failed, retrying: %s", state.attempt_number, error and explain(error))


def as_os_error(error: Exception, uri: str) -> OSError:
    """An object store's error as the OSError that a local file would raise, with `uri` in its message."""
    status = status_code(error)
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object", uri)
    if status == 401 or any(_named(cause, _NO_CREDENTIALS) for cause in causes(error)):
        remedy = _SIGN_IN[uri.partition("://")[0]]
        return PermissionError(errno.EACCES, f"no valid credentials ({error}); {remedy}", uri)
    if status == 403:
        return PermissionError(errno.EACCES, f"access denied ({error})", uri)
    return StorageError(f"{uri}: {type(error).__name__}: {error}")
