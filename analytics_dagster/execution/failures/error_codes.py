"""The codes that servers, drivers and libraries put into their errors, and what kind of failure each one is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from analytics_dagster.execution.failures.error_numbers import NUMBERS, table
from analytics_dagster.execution.failures.failure_kind import FailureKind

K = FailureKind


def kind_of_codes(text: str, words: str) -> FailureKind | None:
    """Return the kind that the codes of an error say, if they are where only an engine or a driver writes them.

    ``words`` is the text without quoted names and values.
    """
    return next(_certain_kinds(text, words), None)


def kind_of_remarks(words: str) -> FailureKind | None:
    """Return the kind that codes within the sentences of an error say, where a name or a value could be, too."""
    return next(_likely_kinds(words), None)


def _certain_kinds(text: str, words: str) -> Iterator[FailureKind]:
    # Snowflake reports wrong credentials as a failed connection, and a dead server as a wrong host.
    for kind, pattern, said in (
        (K.KILLED, _EXIT_CODE, text),
        (K.PERMISSION, _WRONG_CREDENTIALS, words),
        (K.CODE, _CERTIFICATE, words),
    ):
        if pattern.search(said):
            yield kind
    for pattern, kinds in NUMBERS:
        yield from (kinds[found[1]] for found in pattern.finditer(text) if found[1] in kinds)
    for found in _NAME.finditer(words):
        yield from _known(_kind_of_name(next(name for name in found.groups() if name)))
    if error := _PSYCOPG.search(text):
        yield _EXCEPTIONS.get(error[1], K.SQL)
    for found in _EXCEPTION.finditer(text):
        yield from _known(_EXCEPTIONS.get(found[1]))
    for pattern in _SQLSTATES_OF_DRIVERS:
        for found in pattern.finditer(text):
            yield from _known(_kind_of_sqlstate(found[1]))
    if _SQL_ERROR_TYPE.search(words):
        yield K.SQL


def _likely_kinds(words: str) -> Iterator[FailureKind]:
    for pattern, kind_of in (
        (_SQLSTATE, _kind_of_sqlstate),
        (_REMARK, _kind_of_name),
        (_INNER_EXCEPTION, _EXCEPTIONS.get),
        (_ERRNO_CODE, _ERRNO.get),
        (_HTTP, _STATUSES.get),
    ):
        for found in pattern.finditer(words):
            yield from _known(kind_of(next(code for code in found.groups() if code)))


def _known(kind: FailureKind | None) -> Iterator[FailureKind]:
    if kind is not None:
        yield kind


# The process ended: Dagster and operating systems. A negative code is a signal: killed, or crashed in a driver.
_EXIT_CODE = re.compile(
    r"\b(?:exited|failed) with (?:return |exit )?code `?(?:-\d+|137|143)\b|unexpectedly exited with code -?\d+"
)
_WRONG_CREDENTIALS = re.compile(
    r"incorrect username or password|(?:password|ident|peer|md5|gssapi|ldap) authentication failed"
    r"|login failed for user"
    r"|access denied for user|pg_hba\.conf",
    re.IGNORECASE,
)


_CERTIFICATE = re.compile(
    r"certificate[_ ]verify[_ ]failed|certificate has expired|self[- ]signed certificate", re.IGNORECASE
)


# The symbolic name of an error: Trino, Athena, Databricks, ClickHouse, AWS and BigQuery, each where they write it.
_NAME = re.compile(
    r"\bname=([A-Z][A-Z_]+),"
    r"|^[ \t]*(?:[\w.]+: )?(?:Query failed[^:\n]*: )?([A-Z]{3,}(?:_[A-Z]+)+)(?=:)"
    r"|(?:^|[:\]] ?|^[ \t]*\w+ )\[([A-Z][A-Z0-9_]+)(?:\.[A-Z0-9_]+)?\] "
    r"|\(([A-Z]{3,}(?:_[A-Z]+)+)\)(?= \(version|[ \t]*$)"
    r"|\bAn error occurred \((\w+)\) when calling"
    r"|\bError Code: (\w+)[;)]",
    re.MULTILINE,
)
_REMARK = re.compile(r"\breason: (\w+)|\bStatusCode\.([A-Z_]+)\b")


def _kind_of_name(name: str) -> FailureKind | None:
    return _NAMES.get(name) or (K.SQL if _SQL_NAME.search(name) else None)


_NAMES = table(
    (K.LOCK, "TRANSACTION_CONFLICT TRANSACTION_ALREADY_ABORTED ICEBERG_COMMIT_ERROR DEADLOCK_AVOIDED ABORTED"),
    (K.LOCK, "DELTA_CONCURRENT_APPEND DELTA_CONCURRENT_WRITE DELTA_CONCURRENT_TRANSACTION"),
    (K.LOCK, "DELTA_PROTOCOL_CHANGED DELTA_CONCURRENT_DELETE_READ DELTA_CONCURRENT_DELETE_DELETE"),
    (K.LOCK, "DELTA_METADATA_CHANGED TABLE_IS_LOCKED CONCURRENT_MODIFICATION ConcurrentModificationException"),
    (K.LOCK, "HIVE_METASTORE_LOCK_ERROR"),
    (K.THROTTLING, "QUERY_QUEUE_FULL TOO_MANY_REQUESTS TOO_MANY_SIMULTANEOUS_QUERIES NO_FREE_CONNECTION"),
    (K.THROTTLING, "TOO_MANY_PARTS REQUEST_LIMIT_EXCEEDED TEMPORARILY_UNAVAILABLE RESOURCE_EXHAUSTED"),
    (K.THROTTLING, "RequestLimitExceeded SlowDown Throttling ThrottlingException ThrottledException"),
    (K.THROTTLING, "TooManyRequestsException LimitExceededException ProvisionedThroughputExceededException"),
    (K.THROTTLING, "rateLimitExceeded quotaExceeded jobRateLimitExceeded userRateLimitExceeded"),
    (K.THROTTLING, "RESOURCE_EXHAUSTED_CONCURRENCY TooManyRequests Busy ServerBusy"),
    (K.OUT_OF_MEMORY, "EXCEEDED_GLOBAL_MEMORY_LIMIT EXCEEDED_LOCAL_MEMORY_LIMIT CLUSTER_OUT_OF_MEMORY"),
    (K.OUT_OF_MEMORY, "resourcesExceeded MEMORY_LIMIT_EXCEEDED CANNOT_ALLOCATE_MEMORY OUT_OF_MEMORY"),
    (K.OUT_OF_MEMORY, "EXCEEDED_SPILL_LIMIT"),
    (K.TIMEOUT, "EXCEEDED_TIME_LIMIT EXCEEDED_CPU_LIMIT TIMEOUT_EXCEEDED SOCKET_TIMEOUT DEADLINE_EXCEEDED"),
    (K.TIMEOUT, "TOO_SLOW RequestTimeout RequestTimeoutException OPERATION_TIMEOUT CLIENT_TIMEOUT"),
    (K.CONNECTION, "REMOTE_TASK_ERROR REMOTE_TASK_MISMATCH REMOTE_HOST_GONE PAGE_TRANSPORT_ERROR"),
    (K.CONNECTION, "PAGE_TRANSPORT_TIMEOUT NO_NODES_AVAILABLE SERVER_STARTING_UP SERVER_SHUTTING_DOWN"),
    (K.CONNECTION, "NETWORK_ERROR ALL_CONNECTION_TRIES_FAILED ATTEMPT_TO_READ_AFTER_EOF KEEPER_EXCEPTION"),
    (K.CONNECTION, "TABLE_IS_READ_ONLY UNAVAILABLE SESSION_NOT_FOUND TOO_MANY_REQUESTS_FAILED INVALID_HANDLE"),
    (K.CONNECTION, "SESSION_CLOSED HIVE_METASTORE_ERROR HIVE_CURSOR_ERROR InternalServerException"),
    (K.CONNECTION, "InternalServerError InternalError ServiceUnavailable backendError"),
    (K.CONNECTION, "ServiceUnavailableException jobBackendError internalError jobInternalError"),
    (K.CONNECTION, "tableUnavailable INTERNAL_ERROR_QUERY_ENGINE EXCHANGE_MANAGER_NOT_CONFIGURED"),
    (K.CONNECTION, "UNKNOWN_STATUS_OF_INSERT"),
    (K.KILLED, "ADMINISTRATIVELY_PREEMPTED CLUSTER_HAS_TOO_MANY_RUNNING_QUERIES SPOT_INSTANCE_TERMINATION"),
    (K.DISK_FULL, "NOT_ENOUGH_SPACE"),
    (K.PERMISSION, "PERMISSION_DENIED INSUFFICIENT_PERMISSIONS INSUFFICIENT_PRIVILEGES ACCESS_DENIED"),
    (K.PERMISSION, "UNAUTHENTICATED AUTHENTICATION_FAILED REQUIRED_PASSWORD WRONG_PASSWORD AccessDenied"),
    (K.PERMISSION, "AccessDeniedException accessDenied UnrecognizedClientException InvalidClientTokenId"),
    (K.PERMISSION, "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken ExpiredTokenException"),
    (K.PERMISSION, "UnauthorizedOperation LAKE_FORMATION_ACCESS_DENIED"),
    (K.CODE, "NoSuchBucket NoSuchKey GENERIC_INTERNAL_ERROR LOGICAL_ERROR INTERNAL_ERROR"),
    (K.SQL, "EntityNotFoundException InvalidRequestException invalidQuery notFound duplicate responseTooLarge"),
    (K.SQL, "USER_ERROR GENERIC_USER_ERROR STACK_OVERFLOW QUERY_HAS_TOO_MANY_STAGES TOO_MANY_OPEN_PARTITIONS"),
    (K.SQL, "HIVE_BAD_DATA HIVE_PATH_ALREADY_EXISTS HIVE_UNKNOWN_ERROR ICEBERG_FILESYSTEM_ERROR"),
    (K.SQL, "ICEBERG_BAD_DATA"),
)
_SQL_NAME = re.compile(
    r"_(?:NOT_FOUND|ALREADY_EXISTS|MISMATCH|OUT_OF_RANGE|BY_ZERO|OVERFLOW|NOT_SUPPORTED)$|^NOT_SUPPORTED$"
    r"|^DIVI\w+_BY_ZERO"
    r"|SYNTAX_ERROR|^(?:UNRESOLVED|AMBIGUOUS|INVALID(?!_STATE|_HANDLE)|UNSUPPORTED|MISSING|DUPLICATE|UNKNOWN"
    r"|CANNOT_(?:PARSE|CAST"
    r"|UP_CAST|INSERT"
    r"|CONVERT)|CAST|DATATYPE|ARITHMETIC|NUMERIC|INCOMPATIBLE|NO_COMMON|NUMBER_OF|TYPE|ILLEGAL|NOT_AN|NOT_A"
    r"|EXPRESSION|FUNCTION"
    r"|COLUMN|TABLE|SCHEMA|WRONG|NON_|GROUP|SCALAR_SUBQUERY|MULTI_|SET_OPERATION|PARSE|DELTA_|CONSTRAINT|VIOLATED)\w*",
)

# The type of an exception: at the beginning of a line, or inside of another exception.
_EXCEPTION = re.compile(r"^[ \t]*(?:[A-Za-z_]\w*\.)*([A-Z]\w+)(?=[:(]|[ \t]*$)(?!:\d)", re.MULTILINE)
_INNER_EXCEPTION = re.compile(r"[(\s](?:[A-Za-z_]\w*\.)*([A-Z]\w+)(?=[:(])(?!:\d)")
_PSYCOPG = re.compile(r"\bpsycopg2?\.errors\.(\w+)")
_EXCEPTIONS = table(
    (K.CONNECTION, "ConnectionError ConnectionResetError ConnectionRefusedError ConnectionAbortedError"),
    (K.CONNECTION, "DagsterUserCodeUnreachableError DagsterCodeLocationLoadError DagsterCodeLocationNotFoundError"),
    (K.CONNECTION, "BrokenPipeError RemoteDisconnected EndpointConnectionError ProtocolError"),
    (K.CONNECTION, "ChunkedEncodingError IncompleteRead NewConnectionError MaxRetryError SSLEOFError"),
    (
        K.CONNECTION,
        "SSLZeroReturnError NameResolutionError EOFException ResponseStreamingError ServerDisconnectedError",
    ),
    (K.CONNECTION, "ClientConnectorError ClientOSError ServiceUnavailable BadGateway RetryError"),
    (K.CONNECTION, "TrinoConnectionError TTransportException ConnectionClosedError UnknownHostException"),
    (K.CONNECTION, "AdminShutdown CannotConnectNow CrashShutdown ConnectionException ConnectionFailure"),
    (K.CONNECTION, "SqlclientUnableToEstablishSqlconnection InternalServerError Trino503Error Trino502Error"),
    (K.CONNECTION, "SocketException NoHttpResponseException"),
    (K.TIMEOUT, "TimeoutError ReadTimeout ReadTimeoutError ConnectTimeout ConnectTimeoutError Timeout"),
    (K.TIMEOUT, "TimeoutExpired GatewayTimeout DeadlineExceeded ServerTimeoutError QueryTimeout"),
    (K.TIMEOUT, "TimeoutException QueryCanceled SocketTimeoutException SocketTimeoutError Trino504Error"),
    (K.TIMEOUT, "IdleInTransactionSessionTimeout"),
    (K.OUT_OF_MEMORY, "MemoryError OutOfMemoryError OutOfMemoryException OutOfMemory SparkOutOfMemoryError"),
    (K.THROTTLING, "TooManyRequests TooManyConnections ThrottlingException TooManyRequestsException"),
    (K.LOCK, "DeadlockDetected SerializationFailure LockNotAvailable ConcurrentAppendException ObjectInUse"),
    (K.LOCK, "LockError ConcurrentDeleteReadException ConcurrentDeleteDeleteException"),
    (K.LOCK, "ConcurrentWriteException ConcurrentTransactionException ConcurrentModificationException"),
    (K.LOCK, "CommitFailedException MetadataChangedException ProtocolChangedException"),
    (K.KILLED, "DagsterExecutionInterruptedError ChildProcessCrashException ExecutorLostFailure"),
    (K.PERMISSION, "PermissionError InsufficientPrivilege InvalidPassword InvalidAuthorizationSpecification"),
    (K.PERMISSION, "Unauthorized NoCredentialsError PartialCredentialsError DefaultCredentialsError"),
    (K.PERMISSION, "RefreshError"),
    (K.DISK_FULL, "DiskFull"),
    (K.SQL, "AnalysisException ParseException NoSuchTableException SparkArithmeticException"),
    (K.SQL, "SparkNumberFormatException"),
    (K.CODE, "KeyError ValueError TypeError AttributeError IndexError NameError ImportError"),
    (K.CODE, "ModuleNotFoundError AssertionError NotImplementedError RecursionError UnicodeDecodeError"),
    (K.CODE, "UnicodeEncodeError FileNotFoundError UnboundLocalError ZeroDivisionError IsADirectoryError"),
    (K.CODE, "NotADirectoryError JSONDecodeError ValidationError DagsterInvalidConfigError"),
    (K.CODE, "DagsterInvalidDefinitionError DagsterTypeCheckDidNotPass CheckError"),
)

# An SQLSTATE, where drivers write it. The five characters alone may be any value.
_SQLSTATES_OF_DRIVERS = (
    re.compile(r"^[^\w\n]{0,20}(?:[\w.]+: )?\d{4,6} \(([0-9A-Z]{5})\)", re.MULTILINE),
    re.compile(r"\('([0-9A-Z]{5})', ['\"]\["),
    re.compile(r"\[([0-9A-Z]{5})\] ?\["),
    re.compile(r"'C': '([0-9A-Z]{5})'"),
    re.compile(r"\. SQLSTATE: ([0-9A-Z]{5})\b"),
)
_SQLSTATE = re.compile(r"\bSQL ?STATE[:=]?\s*[\[(]?\s*([0-9A-Z]{5})\b", re.IGNORECASE)


def _kind_of_sqlstate(state: str) -> FailureKind | None:
    """Return the kind of an SQLSTATE, or of its class, the first two characters."""
    return _SQLSTATES.get(state.upper()) or _SQLSTATES.get(state[:2].upper())


_SQLSTATES = table(
    # `02000` and `HY000` say nothing.
    (K.CONNECTION, "08 57P01 57P02 57P03 57P05 HYT01 IM006"),
    (K.LOCK, "40 55006 55P03 72000"),
    (K.TIMEOUT, "57014 HYT00 57P04"),
    (K.THROTTLING, "53300 53400"),
    (K.OUT_OF_MEMORY, "53200 HY001 53000"),
    (K.DISK_FULL, "53100"),
    (K.PERMISSION, "28 42501 0P 0L"),
    (K.SQL, "02 07 0A 21 22 23 26 2B 2F 38 39 3D 3F 42 44 54 55 P0"),
)

_ERRNO_CODE = re.compile(r"\[Errno (-?\d+)\]")
_ERRNO = table(
    (K.CONNECTION, "-2 -3 32 101 103 104 111 112 113 11001"),
    (K.TIMEOUT, "110"),
    (K.DISK_FULL, "28 122"),
    (K.PERMISSION, "1 13"),
    (K.OUT_OF_MEMORY, "12"),
)

# DuckDB's types of errors that are about the SQL or the data. `IO Error` and the like need their message.
_SQL_ERROR_TYPE = re.compile(
    r"(?:^[ \t]*|: ?)(?:Binder|Catalog|Parser|Conversion|Constraint|Out of Range|Not implemented|Mismatch Type"
    r"|Invalid type"
    r"|Decimal|Dependency|Sequence|Syntax|Parameter Not (?:Resolved|Allowed)|Expression|Cast|Divide by Zero"
    r"|Invalid Input"
    r"|Missing Extension) Error: (?!Attempting to execute an unsuccessful)",
    re.MULTILINE,
)

# The status of an HTTP response. 400, 403, 409 and 500 have many reasons: the message decides.
_HTTP = re.compile(
    r"\bHTTP(?:/\d(?:\.\d)?)?(?: response| status| error)?(?: code)?[ :=]+(\d{3})\b"
    r"|\bstatus(?:[ _]?code)?[:= ]+(\d{3})\b|^[^\w\n]{0,20}(\d{3}) (?:Client Error|Server Error|[A-Z][a-z])"
    r"|\b(\d{3}) (?:Client|Server) Error\b|\berror (\d{3})(?=: b| \()|: (\d{3}) \([A-Z]|\bresponse code[:= ]+(\d{3})\b",
    re.IGNORECASE | re.MULTILINE,
)
_STATUSES = table(
    (K.PERMISSION, "401 407"),
    (K.SQL, "404 410 422"),
    (K.TIMEOUT, "408 504"),
    (K.THROTTLING, "429"),
    (K.CONNECTION, "502 503"),
)
