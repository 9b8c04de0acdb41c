"""Classifies a failure by the text of its error, and says whether it is transient.

Only known kinds are transient: retrying an unknown error would fail each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum


class FailureKind(str, Enum):
    """The kind of a failure."""

    CONNECTION = "connection"
    """The warehouse or another server could not be reached, or closed the connection."""
    TIMEOUT = "timeout"
    """A time limit was exceeded."""
    LOCK = "lock"
    """Another process locked the data, or changed it at the same time."""
    THROTTLING = "throttling"
    """A server was too busy, or limited the number of requests."""
    OUT_OF_MEMORY = "out of memory"
    """There was too little memory. Later there may be more."""
    KILLED = "killed"
    """The process was killed or evicted, or its machine stopped."""
    COMPILATION = "compilation"
    """dbt could not compile the project."""
    SQL = "SQL error"
    """The warehouse rejected the SQL, or the data did not fit it."""
    CONTRACT = "contract"
    """A model does not return what its contract says."""
    DATA_TEST = "data test"
    """A data test found rows."""
    PERMISSION = "permission"
    """A permission is missing, or credentials are invalid."""
    DISK_FULL = "disk full"
    """No disk space is left."""
    CODE = "error"
    """Any other error, of the code or its configuration."""

    @property
    def is_transient(self) -> bool:
        """Whether a retry may succeed without a change."""
        return self in _TRANSIENT

    @property
    def is_shared(self) -> bool:
        """Whether one cause makes everything fail that is running, so that many failures are one incident."""
        return self in _SHARED


_TRANSIENT = frozenset(
    {
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.LOCK,
        FailureKind.THROTTLING,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.KILLED,
    }
)
_SHARED = frozenset({*(_TRANSIENT - {FailureKind.TIMEOUT}), FailureKind.DISK_FULL})


def classify(message: str, *, status: str = "error") -> FailureKind:
    """Return the kind of a failure.

    ``message`` is that of dbt or an exception. The dbt status `fail` means a data test that found rows, whatever the
    message.
    """
    if status == "fail":
        return FailureKind.DATA_TEST
    reason = _reason(message)
    for kind, pattern in _PATTERNS:
        if pattern.search(reason):
            return kind
    return FailureKind.CODE


def worst(kinds: Iterable[FailureKind]) -> FailureKind | None:
    """Return the kind of several failures together: a permanent one, if there is any; None without failures."""
    found = list(kinds)
    permanent = [kind for kind in found if not kind.is_transient]
    return next(iter([*permanent, *found]), None)


# Text to ignore: the location, SQL (a column may be named `timeout`), and quotations (a value may be any text).
_NO_REASON = (
    re.compile(r"\bin (model|test|unit_test|snapshot|seed|function|macro|operation) [^(\n]+ \([^)\n]*\)"),
    re.compile(r"^\s*(LINE \d+:.*\n.*\^.*|LINE \d+:.*|compiled code at .*|> (in|called by) .*)$", flags=re.MULTILINE),
    re.compile(r"(?<![A-Za-z])'[^'\n]*'(?![A-Za-z])"),
    re.compile(r'"[^"\n]*"'),
)


def _reason(message: str) -> str:
    """Return a message without its location, SQL and quotations."""
    for pattern in _NO_REASON:
        message = pattern.sub(" ", message)
    return message


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), flags=re.IGNORECASE)


# The first match wins: earlier patterns are more specific. The words are those of DuckDB, PostgreSQL, Snowflake,
# BigQuery and Databricks, of their drivers, and of Dagster and Kubernetes. The tests have a message for each.
_PATTERNS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (
        FailureKind.CONTRACT,
        _any_of(r"enforced contract", r"contract (that )?failed", r"contract error", r"breaking changes to contracts"),
    ),
    (
        FailureKind.COMPILATION,
        _any_of(
            r"(?<!SQL )\bcompilation error\b",
            r"\bparsing error\b",
            r"depends on a (node|source) named .* which was not found",
            r"\bundefined\b.* is undefined",
            r"dbt was unable to infer all dependencies",
        ),
    ),
    (
        FailureKind.KILLED,
        _any_of(
            r"\bthe run was cut off\b",
            r"\bOOMKilled\b",
            r"\bevicted\b",
            r"\bpreempt(ed|ion)\b",
            r"\bSIG(KILL|TERM)\b",
            # A negative code is a signal: killed, or crashed in a driver.
            r"(exited|failed) with (return |exit )?code `?(-\d+|137|143)\b",
            r"unexpectedly exited with code -?\d+",
            r"\bnode ?(lost|shutdown|was (low on|terminated))",
            r"run worker (failed|has crashed|status)|detected run worker",
            r"failed to start within|exceeding the (start|startup) timeout",
            r"ExecutorLostFailure|executor lost|worker was lost",
        ),
    ),
    (
        FailureKind.LOCK,
        _any_of(
            r"could not set lock on file",
            r"conflicting lock is held",
            r"the warehouse .* is held by",
            r"deadlock (detected|found)",
            r"lock[ _]timeout|lock not available|could not obtain lock|lock wait timeout",
            r"could not serialize access",
            r"write-write conflict|conflict on (tuple|update)|transaction conflict",
            r"has locked (table|partition)|waiters for this lock exceeds",
            r"concurrent (update|append|write|transaction)s?\b",
            r"Concurrent(Append|Delete\w*|Transaction|Write|Modification)Exception",
            r"DELTA_CONCURRENT_\w+|tuple concurrently updated",
            r"database is locked",
        ),
    ),
    (
        FailureKind.THROTTLING,
        _any_of(
            r"rate ?limit",
            r"\btoo many requests\b",
            r"\b(http|status|error|code)\W{0,8}429\b",
            r"\b429 (client error|too many)",
            r"quota ?exceeded|exceeded quota|exceeded rate limits",
            r"too many (clients|connections)\b|remaining connection slots|connection limit exceeded|TooManyConnections",
            r"REQUEST_LIMIT_EXCEEDED|\bthrottl(ed|ing)\b|slow ?down\b.*(s3|request)|\bSlowDown\b",
            r"server is (too )?(busy|overloaded)|TEMPORARILY_UNAVAILABLE",
        ),
    ),
    (
        FailureKind.DISK_FULL,
        _any_of(r"no space left on device", r"disk (is )?full", r"disk quota exceeded", r"max_temp_directory_size"),
    ),
    (
        FailureKind.OUT_OF_MEMORY,
        _any_of(
            r"out of (shared )?memory",
            r"\bOutOfMemory\w*",
            r"\bMemoryError\b",
            r"could not allocate block|failed to (allocate|pin) ",
            r"cannot allocate memory|memory limit exceeded|memory (was )?exhausted",
            r"resources exceeded during query execution",
            r"could not be executed in the allotted memory",
        ),
    ),
    (
        FailureKind.PERMISSION,
        _any_of(
            r"permission denied|PERMISSION_DENIED|EACCES",
            r"access denied|AccessDenied|not authorized to perform",
            r"insufficient (privilege|permission)|INSUFFICIENT_(PRIVILEGES|PERMISSIONS)",
            r"must be owner of|is not owner of",
            r"(password|ident|peer) authentication failed|incorrect username or password",
            r"invalid (credentials|access token)",
            r"JWT token is invalid|login (failed|denied)|authentication failed",
            r"\b(http|status|error|code)\W{0,8}(401|403)\b|\b403 (forbidden|client error)|\b401 unauthorized",
            r"InvalidAccessKeyId|access key id you provided|SignatureDoesNotMatch|signature we calculated",
            r"unable to locate credentials|NoCredentialsError|PermissionError",
            r"does not have .{0,40}\bpermission",
            r"pg_hba\.conf",
        ),
    ),
    (
        FailureKind.TIMEOUT,
        _any_of(
            r"(statement|query|execution) timeout",
            r"canceling statement due to",
            r"reached its (statement or )?warehouse timeout|statement reached its",
            r"\btimed[ -]out\b|\btime ?out(error)?\b(?! parameter)|deadline exceeded|DEADLINE_EXCEEDED",
            r"did not complete within the (designated|allotted) (timeout|time)",
            r"57014|max_runtime|exceed(ed|ing) (the )?maximum runtime",
        ),
    ),
    (
        FailureKind.CONNECTION,
        _any_of(
            r"connection (was |has been |unexpectedly )?"
            r"(re)?(lost|closed|reset|refused|aborted|broken|dropped|error)\b",
            r"(could not|couldn't|cannot|can't|unable to|failed to) (connect|establish|resolve|reach|translate host)",
            r"server closed the connection|SSL (connection|SYSCALL|error)|terminating connection",
            r"database system is (starting up|shutting down|in recovery)",
            r"\b(Connection(Reset)?Error|OperationalError: connection|RemoteDisconnected|BrokenPipeError)\b",
            r"broken pipe|network is unreachable|no route to host|name (or service not known|resolution)",
            r"temporary failure in name resolution|EOF (detected|occurred)|connection already closed",
            r"max retries exceeded with url",
            r"\b50[234]\b.{0,20}(bad gateway|service unavailable|gateway time|server error|backend ?error)",
            r"\b(bad gateway|service unavailable|backendError|internalError)\b",
            r"retrying the job may solve the problem",
            r"authentication token has expired|session (no longer exists|handle)|Invalid SessionHandle",
            r"\b250001\b|\b08(000|001|003|004|006|S01)\b",
        ),
    ),
    # A bucket of the landing zone or the reports, which a setting names.
    (FailureKind.CODE, _any_of(r"NoSuchBucket|\b(bucket|container) does not exist")),
    (
        FailureKind.SQL,
        _any_of(
            r"\bdatabase error\b",
            r"\b(binder|catalog|parser|conversion|constraint|invalid input|not implemented|io|dependency) error\b",
            r"\bsyntax error\b|SQL compilation error|AnalysisException|ParseException",
            r"does not exist|\bnot found\b|UNRESOLVED_\w+|division by zero|invalid (identifier|input syntax)",
        ),
    ),
)
