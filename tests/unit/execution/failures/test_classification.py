# ruff: noqa: E501 - original messages
"""The kind of a failure follows from its message, and only transient kinds are retried."""

from __future__ import annotations

import time

import pytest

from analytics_dagster.execution.failures.classification import FailureKind, classify, worst
from tests.unit.execution.failures.messages import MORE_PERMANENT, MORE_TRANSIENT, PERMANENT, TRANSIENT

K = FailureKind

# Messages of DuckDB, dbt and Dagster in the versions of this project, each produced for real.
REAL = [
    (
        K.SQL,
        (
            '  Runtime Error in model bad (models/bad.sql)\n  Binder Error: Referenced column "timeout" not found in FROM '
            'clause!\n  Candidate bindings: "id"\n  \n  LINE 10:       select timeout, connection_lost from x\n       ^'
        ),
    ),
    (
        K.SQL,
        (
            "  Runtime Error in model cast (models/cast.sql)\n  Conversion Error: Could not convert string 'connection "
            "refused' to INT32\n  \n  LINE 10:       select cast('abc' as integer) as x\n                        ^"
        ),
    ),
    (
        K.CONTRACT,
        (
            "  Compilation Error in model contract (models/contract.sql)\n  This model has an enforced contract that failed.\n"
            "  Please ensure the name, data_type, and number of columns in your contract match the columns in your model's "
            "definition.\n  \n  | id          | INTEGER         | VARCHAR       | data type mismatch |"
        ),
    ),
    (K.COMPILATION, "  Compilation Error in model jinja (models/jinja.sql)\n  macro says no"),
    (
        K.OUT_OF_MEMORY,
        (
            "  Runtime Error in model memory (models/memory.sql)\n  Out of Memory Error: failed to allocate data of size "
            "1.0 MiB (56.9 MiB/57.2 MiB used)\n  Database is launched in in-memory mode and no temporary directory is "
            "specified.\n  Unused blocks cannot be offloaded to disk."
        ),
    ),
    (
        K.SQL,
        (
            '  Runtime Error in model missing_table (models/missing_table.sql)\n  Catalog Error: Table with name "raw.not_there"'
            ' does not exist because schema "raw" does not exist.\n  \n  LINE 10:       select * from raw.not_there\n    ^'
        ),
    ),
    (
        K.SQL,
        '  Runtime Error in model nofile (models/nofile.sql)\n  IO Error: No files found that match the pattern "/x.csv"',
    ),
    (
        K.SQL,
        (
            '  Runtime Error in model syntax (models/syntax.sql)\n  Parser Error: syntax error at or near "selec"\n  \n'
            "  LINE 10:       selec 1\n                 ^"
        ),
    ),
    (
        K.LOCK,
        (
            'Encountered an error:\nIO Error: Could not set lock on file "/w/faults.duckdb": Conflicting lock is held in '
            "/usr/bin/python3.11 (PID 25471). See also https://duckdb.org/docs/stable/connect/concurrency"
        ),
    ),
    (K.LOCK, "WarehouseError: The warehouse /w/shop.duckdb is held by process 7 (duckdb); waited 300 s."),
    (
        K.PERMISSION,
        '  Runtime Error in model file (models/file.sql)\n  IO Error: Cannot open file "/x.csv": Permission denied',
    ),
    (
        K.CONNECTION,
        (
            "  Runtime Error in model http (models/http.sql)\n  An error occurred while trying to automatically install the "
            "required extension 'httpfs':\n  For more info, visit https://duckdb.org (ERROR Could not establish connection)"
        ),
    ),
    (
        K.KILLED,
        (
            "The run was cut off: process 71 on worker-3, which executed it, has ended (killed, out of memory, or its machine "
            "restarted)."
        ),
    ),
    (
        K.KILLED,
        (
            "[DagsterApiServer] Run execution process for 1 was terminated by signal 9 (SIGKILL). This usually indicates that "
            "the process was killed by the operating system due to running out of memory."
        ),
    ),
    (K.KILLED, "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `-9`. Check the stdout"),
    (K.KILLED, "Multiprocess executor: child process for step dbt_hourly unexpectedly exited with code -9"),
    (K.KILLED, "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `-11`. Check the stdout"),
    (K.CODE, "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `2`. Check the stdout"),
    (K.KILLED, "Detected run worker status FAILED: 'Pod run-1 was OOMKilled'. Marking run 1 as failed"),
    (K.KILLED, "The node was low on resource: memory. Pod evicted"),
]

# Messages from the documentation of the warehouses and from their drivers.
DOCUMENTED = [
    # PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html and libpq.
    (
        K.CONNECTION,
        (
            "Database Error in model a (models/a.sql)\n  could not connect to server: Connection refused\n  Is the server "
            'running on host "db" (10.0.0.7) and accepting TCP/IP connections on port 5432?'
        ),
    ),
    (K.CONNECTION, "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally"),
    (K.CONNECTION, "terminating connection due to administrator command"),
    (K.CONNECTION, "FATAL:  the database system is starting up"),
    (K.CONNECTION, 'could not translate host name "db" to address: Temporary failure in name resolution'),
    (K.CONNECTION, "SSL SYSCALL error: EOF detected"),
    (K.LOCK, "Database Error in model a (models/a.sql)\n  deadlock detected\n  DETAIL:  Process 1 waits for ShareLock"),
    (K.LOCK, "canceling statement due to lock timeout"),
    (K.LOCK, "could not serialize access due to concurrent update"),
    (K.TIMEOUT, "Database Error in model a (models/a.sql)\n  canceling statement due to statement timeout"),
    (K.THROTTLING, "FATAL:  sorry, too many clients already"),
    (K.THROTTLING, "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"),
    (K.OUT_OF_MEMORY, "out of memory\nDETAIL:  Failed on request of size 8192 in memory context"),
    (K.DISK_FULL, 'could not extend file "base/1/2": No space left on device'),
    (K.PERMISSION, "Database Error in model a (models/a.sql)\n  permission denied for schema marts"),
    (K.PERMISSION, 'FATAL:  password authentication failed for user "dbt"'),
    (
        K.SQL,
        'Database Error in model a (models/a.sql)\n  column "x" does not exist\n  LINE 3: select lock_timeout\n  ^',
    ),
    (K.SQL, 'Database Error in model a (models/a.sql)\n  relation "raw.t" does not exist'),
    (K.SQL, "Database Error in model a (models/a.sql)\n  division by zero"),
    # Snowflake: https://docs.snowflake.com/en/user-guide/client-connectivity-troubleshooting
    (K.CONNECTION, "250001 (08001): None: Failed to connect to DB: abc.snowflakecomputing.com:443."),
    (K.CONNECTION, "390114 (08001): None: Authentication token has expired.  The user must authenticate again."),
    (
        K.TIMEOUT,
        "000630 (57014): Statement reached its statement or warehouse timeout of 3,600 second(s) and was canceled.",
    ),
    (
        K.LOCK,
        "000625 (57014): Statement '01b' has locked table 'ORDERS' in transaction 17 and this lock has not yet been released.",
    ),
    (K.PERMISSION, "003001 (42501): SQL access control error:\nInsufficient privileges to operate on schema 'MARTS'"),
    (K.PERMISSION, "250001 (08001): Failed to connect to DB. Incorrect username or password was specified."),
    (K.SQL, "002003 (42S02): SQL compilation error:\nObject 'X' does not exist or not authorized."),
    # BigQuery: https://cloud.google.com/bigquery/docs/error-messages
    (K.THROTTLING, "403 Exceeded rate limits: too many table update operations for this table"),
    (K.THROTTLING, "Quota exceeded: Your table exceeded quota for imports or query appends per table"),
    (
        K.OUT_OF_MEMORY,
        "400 Resources exceeded during query execution: The query could not be executed in the allotted memory.",
    ),
    (K.LOCK, "Could not serialize access to table p:d.t due to concurrent update"),
    (K.CONNECTION, "503 Service Unavailable: backendError"),
    (K.CONNECTION, "The job encountered an error during execution. Retrying the job may solve the problem."),
    (K.CONNECTION, "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))"),
    (K.TIMEOUT, "Operation did not complete within the designated timeout of 300 seconds."),
    (K.PERMISSION, "403 Access Denied: Project p: User does not have bigquery.jobs.create permission in project p."),
    (K.SQL, "Database Error in model a (models/a.sql)\n  Syntax error: Unexpected identifier at [3:1]"),
    # Databricks: https://docs.databricks.com/en/error-messages/error-classes.html
    (K.LOCK, "[DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added to the root of the table."),
    (
        K.THROTTLING,
        "Error: REQUEST_LIMIT_EXCEEDED: Your request was rejected since your organization exceeded the limit",
    ),
    (K.THROTTLING, "TEMPORARILY_UNAVAILABLE: The service at /api/2.0 is temporarily unavailable"),
    (K.PERMISSION, "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have USE SCHEMA on Schema 'x'."),
    (K.SQL, "[TABLE_OR_VIEW_NOT_FOUND] The table or view `x` cannot be found. AnalysisException"),
    (K.SQL, "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `x` cannot be resolved."),
    (K.OUT_OF_MEMORY, "java.lang.OutOfMemoryError: GC overhead limit exceeded"),
    (K.KILLED, "Job aborted due to stage failure: ExecutorLostFailure (executor 4 exited caused by one of the tasks)"),
    (K.CONNECTION, "HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /sql"),
    # Python.
    (K.TIMEOUT, "requests.exceptions.ReadTimeout: Read timed out. (read timeout=10)"),
    (K.THROTTLING, "429 Client Error: Too Many Requests for url: https://api.example.com"),
    (K.OUT_OF_MEMORY, "MemoryError"),
    (K.CODE, "KeyError: 'customer_id'"),
    (K.CODE, ""),
]


PERMANENT_MESSAGES = [one for messages in PERMANENT.values() for one in messages]
TRANSIENT_MESSAGES = [one for messages in TRANSIENT.values() for one in messages]


@pytest.mark.parametrize(("kind", "message"), [*REAL, *DOCUMENTED, *PERMANENT_MESSAGES, *TRANSIENT_MESSAGES])
def test_each_message_has_its_kind(kind: FailureKind, message: str) -> None:
    assert classify(message) is kind


@pytest.mark.parametrize("message", MORE_PERMANENT)
def test_a_permanent_error_is_not_retried(message: str) -> None:
    assert not classify(message).is_transient


@pytest.mark.parametrize("message", MORE_TRANSIENT)
def test_a_transient_error_is_retried(message: str) -> None:
    assert classify(message).is_transient


def test_a_test_with_status_fail_is_a_data_test_whatever_its_message() -> None:
    assert classify("Got 3 results, configured to fail if != 0", status="fail") is K.DATA_TEST
    assert classify("connection refused", status="fail") is K.DATA_TEST


def test_every_kind_has_a_message() -> None:
    assert {kind for kind, _ in [*REAL, *DOCUMENTED]} == set(FailureKind) - {K.DATA_TEST}


def test_names_and_quoted_values_are_ignored() -> None:
    for text in (
        "Database Error in model connection lost (models/timeout.sql)\n  Binder Error: no",
        "Database Error in test out_of_memory (models/a.yml)\n  value 'deadlock detected' is wrong",
        '  > in macro permission denied (macros/x.sql)\n  Binder Error: column "too many requests" is not there',
    ):
        assert classify(text) is K.SQL


# Errors about a name or a value, and names and values that look like the reason of a transient error.
ABOUT_A_NAME_OR_VALUE = [
    "Unrecognized name: {} at [3:5]",
    "Table not found: {}",
    "Function not found: {} at [1:8]",
    "Name {} not found inside t",
    "Not found: Table p:d.{} was not found in location EU",
    "Bad int64 value: {}",
    "Invalid date: {}",
    'duplicate key value violates unique constraint "u"\n  DETAIL:  Key (a)=({}) already exists.',
    'new row for relation "t" violates check constraint "c"\n  DETAIL:  Failing row contains (1, {}, x).',
    "column {} does not exist",
    'invalid input syntax for type integer: "{}"',
    "Conversion Error: Could not convert string '{}' to INT32",
    'Binder Error: Referenced column "{}" not found in FROM clause!',
    "100038 (22018): Numeric value '{}' is not recognized",
    "000904 (42000): SQL compilation error: error line 2 at position 7\ninvalid identifier '{}'",
    "cannot resolve '{}' given input columns: [a, b]",
    '[CAST_INVALID_INPUT] The value \'{}\' of the type "STRING" cannot be cast to "INT" because it is malformed.',
    "Code: 47. DB::Exception: Unknown identifier: {}; there are columns: a. (UNKNOWN_IDENTIFIER)",
    "Violation of UNIQUE KEY constraint 'u'. Cannot insert duplicate key. The duplicate key value is ({}).",
    "1062 (23000): Duplicate entry '{}' for key 'orders.PRIMARY'",
    "Column '{}' cannot be resolved",
]
MISLEADING = [
    *("timeout", "timed out", "lock_timeout", "deadlock detected", "Deadlock found when trying to get lock"),
    *("connection refused", "connection lost", "Connection reset by peer", "server closed the connection unexpectedly"),
    *("could not connect to server", "ConnectionError", "TimeoutError: x", "bad gateway", "service unavailable"),
    *("too many requests", "rate limit exceeded", "quota exceeded", "throttled", "try again later", "out of memory"),
    *("database is locked", "SIGKILL", "evicted", "exit code `-9`", "reason: rateLimitExceeded", "[Errno 104]"),
    *("250001", "157014", "57014", "40001", "08006", "429", "503", "HTTP 503", "status code 503", "SQLSTATE 08006"),
]


@pytest.mark.parametrize("heading", ["", "Database Error in model a (models/a.sql)\n  "])
@pytest.mark.parametrize("message", ABOUT_A_NAME_OR_VALUE)
def test_a_misleading_name_or_value_makes_no_error_transient(message: str, heading: str) -> None:
    kinds = {named: classify(heading + message.format(named)) for named in MISLEADING}
    assert [named for named, kind in kinds.items() if kind.is_transient] == []


def test_the_messages_are_of_many_adapters_and_half_of_them_mislead() -> None:
    assert len(PERMANENT_MESSAGES) + len(TRANSIENT_MESSAGES) >= 150
    assert len(PERMANENT_MESSAGES) >= len(TRANSIENT_MESSAGES)
    assert len(PERMANENT.keys() & TRANSIENT.keys()) >= 8
    assert not any(kind.is_transient for kind, _ in PERMANENT_MESSAGES)
    assert all(kind.is_transient for kind, _ in TRANSIENT_MESSAGES)


@pytest.mark.parametrize(
    "part", ["(a)=(b ", "in model a", "table ", "'", "[SQL", "cannot resolve ", "a: ", "(A_B)", "  \n", "\n0000"]
)
def test_a_long_message_is_classified_in_bounded_time(part: str) -> None:
    started = time.process_time()
    classify(part * 100_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("kind", list(FailureKind))
def test_the_transient_kinds_are_these(kind: FailureKind) -> None:
    named = {K.CONNECTION, K.TIMEOUT, K.LOCK, K.THROTTLING, K.OUT_OF_MEMORY, K.KILLED}
    assert kind.is_transient is (kind in named)


def test_one_permanent_failure_outweighs_all_transient_ones() -> None:
    assert worst([K.CONNECTION, K.SQL, K.LOCK]) is K.SQL
    assert worst([K.CONNECTION, K.LOCK]) is K.CONNECTION
    assert worst([]) is None
