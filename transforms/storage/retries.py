"""Storage errors: which are worth another try, which end the job, and one call that tries again.

Three kinds. *Transient* (5xx, throttling, timeouts, dropped connections, damaged transfers): tried again with
backoff and jitter, and the job's error if that does not help. *Fatal* (a full or read-only disk): the job's
error at once. All others (404, 403, ...): permanent, the error of one bracket.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, cast

import tenacity
from apache_beam.io.filesystem import BeamIOError

from lutfuse.transforms.counters import NAMESPACE, count

ATTEMPTS = 8
FIRST_WAIT_S = 0.5  # doubles with each attempt: 8 attempts wait for about a minute
LONGEST_WAIT_S = 30.0

# A full or read-only disk fails every bracket alike, so it ends the job instead of its brackets.
_FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
# S3 says some passing troubles with status 400.
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "BadDigest", "IncompleteBody"}
# Clients wrap sockets in classes of their own, without a common base.
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
    """What an object store said, where Python has no error of its own for it."""


class ShortReadError(ConnectionError):
    """Fewer or more bytes came than the object holds."""


def status_code(error: BaseException) -> int | None:
    """HTTP status carried by a storage client's error, or None."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return cast("int | None", response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return code if isinstance(code, int) else None


def _error_code(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what Beam wrapped inside it, and what each was raised from."""
    seen: list[BaseException | None] = [error]
    while seen:
        current = seen.pop()
        if current is None:
            continue
        yield current
        details = getattr(current, "exception_details", None)
        inner = list(details.values()) if isinstance(details, dict) else []
        seen += [e for e in inner if isinstance(e, BaseException)]
        seen.append(current.__cause__)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: server errors, throttling, timeouts, dropped connections."""
    for cause in causes(error):
        if isinstance(cause, (TimeoutError, ConnectionError)) or status_code(cause) in _TRANSIENT_STATUS:
            return True
        if _error_code(cause) in _TRANSIENT_CODES or _named(cause, _TRANSIENT_NAMES):
            return True
    return False


def _named(error: BaseException, parts: tuple[str, ...]) -> bool:
    return any(part in type(error).__name__ for part in parts)


def is_fatal(error: BaseException) -> bool:
    """Whether the error is the job's and not one bracket's: a full disk, or storage that stays away."""
    if is_transient(error):
        return True
    return any(isinstance(c, OSError) and c.errno in _FATAL_ERRNO for c in causes(error))


def explain(error: BaseException) -> str:
    """One line for people: what the storage said, without Beam's wrapping."""
    inner = [c for c in causes(error) if not isinstance(c, BeamIOError)]
    chosen = inner[0] if inner else error
    return f"{type(chosen).__name__}: {chosen}".splitlines()[0]


def retrying(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`operation(...)`, again after transient errors; the last error is raised as it is."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        before_sleep=_count,
        reraise=True,
    )
    return attempts(operation, *args, **kwargs)


def _count(state: tenacity.RetryCallState) -> None:
    count("storage-retries")
    error = state.outcome.exception() if state.outcome else None
    _log.info("attempt %d failed, trying again: %s", state.attempt_number, error and explain(error))


def as_os_error(error: Exception, uri: str) -> OSError:
    """The error of an object store as the one that a local file would give, naming `uri`."""
    status = status_code(error)
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object", uri)
    if status == 401 or any(_named(cause, _NO_CREDENTIALS) for cause in causes(error)):
        remedy = _SIGN_IN[uri.partition("://")[0]]
        return PermissionError(errno.EACCES, f"no valid credentials ({error}); {remedy}", uri)
    if status == 403:
        return PermissionError(errno.EACCES, f"access denied ({error})", uri)
    return StorageError(f"{uri}: {type(error).__name__}: {error}")
