# ruff: noqa: E501, S608 - original messages
"""Messages of real errors by adapter. `PERMANENT` ones contain a word or number that looks like a transient error."""

from __future__ import annotations

from collections.abc import Mapping

from analytics_dagster.execution.failures.classification import FailureKind

K = FailureKind

Messages = Mapping[str, list[tuple[FailureKind, str]]]

IN_MODEL = "Database Error in model orders (models/marts/orders.sql)\n  "
AT_RUNTIME = "Runtime Error in model orders (models/marts/orders.sql)\n  "
COMPILED = "\n  compiled code at target/run/shop/models/marts/orders.sql"

PERMANENT: Messages = {
    "duckdb": [
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Binder Error: Referenced column "timeout" not found in FROM clause!\n  Candidate bindings: "timed_out"',
        ),
        (
            K.SQL,
            "  Runtime Error in model a (models/a.sql)\n  Conversion Error: Could not convert string 'connection reset by peer' to INT32",
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Catalog Error: Table with name deadlock_detected does not exist!\n  Did you mean "locks"?',
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Constraint Error: Duplicate key "order_id: 250001" violates primary key constraint.',
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Parser Error: syntax error at or near "timeout"\n\n  LINE 1: select connection refused timeout\n                 ^',
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Invalid Input Error: Could not parse string "too many requests" according to format specifier "%Y"',
        ),
        (
            K.SQL,
            "  Runtime Error in model a (models/a.sql)\n  Out of Range Error: Overflow in multiplication of INT64 (57014 * 8000000000000000)!",
        ),
        (
            K.SQL,
            "  Runtime Error in model a (models/a.sql)\n  Not implemented Error: Unimplemented type for cast (STRUCT(timed_out BOOLEAN) -> INTEGER)",
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  Invalid Input Error: CSV Error on Line: 503\nOriginal Line: 429,out of memory\nError when converting column "n".',
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  HTTP Error: Unable to connect to URL "https://x/y.parquet": 404 (Not Found)',
        ),
        (
            K.PERMISSION,
            "  Runtime Error in model a (models/a.sql)\n  HTTP Error: HTTP GET error on 'https://b.s3.amazonaws.com/timeouts.csv' (HTTP 403)\n  AccessDenied: Access Denied",
        ),
        (
            K.SQL,
            '  Runtime Error in model a (models/a.sql)\n  IO Error: No files found that match the pattern "/landing/connection lost/*.csv"',
        ),
    ],
    "postgres": [
        (
            K.SQL,
            IN_MODEL
            + 'duplicate key value violates unique constraint "orders_pkey"\n  DETAIL:  Key (order_id)=(250001) already exists.'
            + COMPILED,
        ),
        (
            K.SQL,
            IN_MODEL
            + 'duplicate key value violates unique constraint "orders_pkey"\n  DETAIL:  Key (order_id)=(157014) already exists.'
            + COMPILED,
        ),
        (
            K.SQL,
            IN_MODEL
            + 'duplicate key value violates unique constraint "u"\n  DETAIL:  Key (status, reason)=(503, connection refused) already exists.',
        ),
        (
            K.SQL,
            IN_MODEL
            + 'insert or update on table "orders" violates foreign key constraint "fk"\n  DETAIL:  Key (state)=(deadlock detected) is not present in table "states".',
        ),
        (
            K.SQL,
            IN_MODEL
            + 'new row for relation "orders" violates check constraint "positive"\n  DETAIL:  Failing row contains (17, too many requests, 08006, timed out).',
        ),
        (
            K.SQL,
            IN_MODEL
            + 'null value in column "lock_timeout" of relation "jobs" violates not-null constraint\n  DETAIL:  Failing row contains (1, null, server closed the connection).',
        ),
        (
            K.SQL,
            IN_MODEL
            + "invalid input syntax for type integer: \"connection timed out\"\n  LINE 3: select 'connection timed out'::int\n                 ^",
        ),
        (
            K.SQL,
            IN_MODEL
            + 'column "timeout" does not exist\n  LINE 2:   timeout,\n            ^\n  HINT:  Perhaps you meant to reference the column "t.timeouts".',
        ),
        (K.SQL, IN_MODEL + 'relation "raw.connection_lost" does not exist'),
        (K.SQL, IN_MODEL + 'syntax error at or near "lock"\n  LINE 1: lock timeout'),
        (
            K.SQL,
            IN_MODEL
            + "function statement_timeout(integer) does not exist\n  HINT:  No function matches the given name and argument types.",
        ),
        (
            K.SQL,
            IN_MODEL
            + 'value too long for type character varying(8)\n  CONTEXT:  COPY events, line 429, column reason: "too many connections"',
        ),
        (K.SQL, IN_MODEL + 'date/time field value out of range: "503-08-006"'),
        (K.SQL, IN_MODEL + 'column reference "deadlock" is ambiguous'),
        (K.SQL, IN_MODEL + 'unrecognized configuration parameter "connection_timeout"'),
        (K.PERMISSION, IN_MODEL + "permission denied for table query_timeouts"),
        (
            K.PERMISSION,
            IN_MODEL
            + 'connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  password authentication failed for user "dbt"',
        ),
        (K.SQL, 'connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  database "shop" does not exist'),
        (
            K.PERMISSION,
            'connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "dbt", database "shop", no encryption',
        ),
        (K.DISK_FULL, IN_MODEL + 'could not write to file "base/pgsql_tmp/pgsql_tmp57014.0": No space left on device'),
    ],
    "redshift": [
        (K.SQL, IN_MODEL + 'relation "connection_errors" does not exist'),
        (
            K.SQL,
            IN_MODEL
            + "{'S': 'ERROR', 'C': '42703', 'M': 'column \"timeout\" does not exist in t', 'F': 'x.cpp', 'L': '5701', 'R': 'y'}",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Value too long for character type\n  DETAIL:  \n    -----------------------------------------------\n    error:  Value too long for character type\n    code:      8001\n    context:   Value too long for type character varying(3)\n    query:     57014",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Invalid digit, Value 't', Pos 0, Type: Integer\n  DETAIL:  \n    error:  Invalid digit, Value 't', Pos 0, Type: Integer \n    code:      1207\n    context:   timed out",
        ),
        (K.SQL, IN_MODEL + "Numeric data overflow (result precision)\n  DETAIL:  code: 1058 query: 250001"),
        (K.PERMISSION, IN_MODEL + "permission denied for relation stl_connection_log"),
        (K.SQL, IN_MODEL + 'syntax error at or near "timeout" in context "select timeout"'),
    ],
    "snowflake": [
        (
            K.SQL,
            IN_MODEL
            + "000904 (42000): SQL compilation error: error line 2 at position 7\n  invalid identifier 'CONNECTION_LOST'",
        ),
        (
            K.SQL,
            IN_MODEL
            + "001003 (42000): SQL compilation error:\n  syntax error line 3 at position 11 unexpected 'timeout'.",
        ),
        (
            K.SQL,
            IN_MODEL
            + "002003 (42S02): SQL compilation error:\n  Object 'RAW.DEADLOCK_DETECTED' does not exist or not authorized.",
        ),
        (K.SQL, IN_MODEL + "100038 (22018): Numeric value 'Connection refused' is not recognized"),
        (K.SQL, IN_MODEL + "100035 (22007): Timestamp '08001' is not recognized"),
        (K.SQL, IN_MODEL + "100072 (22000): NULL result in a non-nullable column"),
        (
            K.SQL,
            IN_MODEL
            + '100090 (42P18): Duplicate row detected during DML action\n  Row Values: [250001, "query timeout"]',
        ),
        (K.SQL, IN_MODEL + "100051 (22012): Division by zero"),
        (K.SQL, IN_MODEL + "002262 (22000): SQL compilation error:\nData type mismatch in column LOCK_TIMEOUT"),
        (K.SQL, IN_MODEL + "100078 (22000): String 'the server is busy' is too long and would be truncated"),
        (
            K.PERMISSION,
            IN_MODEL
            + "003001 (42501): SQL access control error:\n  Insufficient privileges to operate on table 'TIMEOUTS'",
        ),
        (
            K.PERMISSION,
            "250001 (08001): None: Failed to connect to DB: abc.snowflakecomputing.com:443. Incorrect username or password was specified.",
        ),
        (
            K.CODE,
            IN_MODEL.replace("Database", "Runtime")
            + "000606 (57P03): No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command.",
        ),
    ],
    "bigquery": [
        (K.SQL, IN_MODEL + "Unrecognized name: timeout at [4:8]" + COMPILED),
        (K.SQL, IN_MODEL + "Unrecognized name: connection_refused; Did you mean connection? at [2:3]"),
        (K.SQL, IN_MODEL + "Syntax error: Unexpected keyword LOCK at [12:1]"),
        (K.SQL, IN_MODEL + 'Syntax error: Expected end of input but got identifier "timeout" at [429:1]'),
        (K.SQL, IN_MODEL + "Name timeout not found inside t at [3:5]"),
        (K.SQL, IN_MODEL + "Not found: Table shop:raw.connection_reset was not found in location EU"),
        (
            K.SQL,
            "404 Not found: Dataset shop:deadlock was not found in location US; reason: notFound, message: Not found: Dataset",
        ),
        (K.SQL, IN_MODEL + "Bad int64 value: rate limit exceeded"),
        (
            K.SQL,
            IN_MODEL + "Could not parse 'timed out' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]",
        ),
        (
            K.SQL,
            IN_MODEL
            + "No matching signature for function TIMESTAMP_SUB for argument types: STRING, INTERVAL INT64 DATE_TIME_PART. Supported signature: TIMESTAMP_SUB(TIMESTAMP, INTERVAL INT64 DATE_TIME_PART) at [503:1]",
        ),
        (K.SQL, IN_MODEL + "UPDATE/MERGE must match at most one source row for each target row"),
        (K.SQL, IN_MODEL + "Column name quota_exceeded is ambiguous at [1:8]"),
        (
            K.SQL,
            IN_MODEL
            + "SELECT list expression references column lock_timeout which is neither grouped nor aggregated at [2:5]",
        ),
        (
            K.PERMISSION,
            "403 Access Denied: Table shop:raw.timeouts: User does not have permission to query table shop:raw.timeouts, or perhaps it does not exist.",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Query column 3 has type STRING which cannot be inserted into column timed_out, which has type BOOL at [2:1]",
        ),
    ],
    "databricks": [
        (
            K.SQL,
            "Runtime Error in model a (models/a.sql)\n  cannot resolve 'custmer_id' given input columns: [customer_id, connection]; line 3 pos 7",
        ),
        (
            K.SQL,
            IN_MODEL
            + "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `timeout` cannot be resolved. Did you mean one of the following? [`timed_out`]. SQLSTATE: 42703; line 1 pos 7",
        ),
        (
            K.SQL,
            IN_MODEL
            + "[TABLE_OR_VIEW_NOT_FOUND] The table or view `raw`.`deadlocks` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42P01",
        ),
        (
            K.SQL,
            IN_MODEL
            + "[PARSE_SYNTAX_ERROR] Syntax error at or near 'timeout'. SQLSTATE: 42601 (line 1, pos 8)\n\n== SQL ==\nselect too many requests, connection refused\n--------^^^",
        ),
        (
            K.SQL,
            IN_MODEL
            + '[CAST_INVALID_INPUT] The value \'connection timed out\' of the type "STRING" cannot be cast to "INT" because it is malformed. SQLSTATE: 22018',
        ),
        (
            K.SQL,
            IN_MODEL
            + '[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead. If necessary set "ansi_mode" to "false" to bypass this error. SQLSTATE: 22012',
        ),
        (
            K.SQL,
            IN_MODEL
            + "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE] Cannot perform Merge as multiple source rows matched and attempted to modify the same target row in the Delta table in possibly conflicting ways. SQLSTATE: 21506",
        ),
        (
            K.SQL,
            IN_MODEL
            + "[DELTA_FAILED_TO_MERGE_FIELDS] Failed to merge fields 'lock_timeout' and 'lock_timeout'. SQLSTATE: 22005",
        ),
        (
            K.SQL,
            IN_MODEL
            + "[AMBIGUOUS_REFERENCE] Reference `connection` is ambiguous, could be: [`a`.`connection`, `b`.`connection`]. SQLSTATE: 42704",
        ),
        (
            K.SQL,
            "Runtime Error in model a (models/a.sql)\n  org.apache.spark.sql.AnalysisException: Table or view not found: raw.query_timeout; line 2 pos 14",
        ),
        (
            K.SQL,
            "Runtime Error in model a (models/a.sql)\n  Error while executing query: mismatched input 'connection' expecting {<EOF>, ';'}(line 1, pos 12)",
        ),
        (
            K.PERMISSION,
            IN_MODEL
            + "[INSUFFICIENT_PERMISSIONS] Insufficient privileges:\n  User does not have SELECT on table 'connection_errors'. SQLSTATE: 42501",
        ),
        (
            K.SQL,
            IN_MODEL
            + '[DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES] Cannot resolve "(timeout = 1)" due to data type mismatch: the left and right operands of the binary operator have incompatible types ("STRING" and "DATE"). SQLSTATE: 42K09',
        ),
    ],
    "sqlserver": [
        (
            K.SQL,
            IN_MODEL
            + "('42S22', \"[42S22] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid column name 'timeout'. (207) (SQLMoreResults)\")",
        ),
        (
            K.SQL,
            IN_MODEL
            + "('42S02', \"[42S02] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'dbo.deadlock'. (208) (SQLExecDirectW)\")",
        ),
        (
            K.SQL,
            IN_MODEL
            + "('42000', \"[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Incorrect syntax near 'LOCK_TIMEOUT'. (102) (SQLExecDirectW)\")",
        ),
        (
            K.SQL,
            IN_MODEL
            + "('23000', \"[23000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Violation of PRIMARY KEY constraint 'pk'. Cannot insert duplicate key in object 'dbo.t'. The duplicate key value is (1205). (2627) (SQLExecDirectW)\")",
        ),
        (
            K.SQL,
            IN_MODEL
            + "('22018', \"[22018] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Conversion failed when converting the varchar value 'connection reset' to data type int. (245) (SQLExecDirectW)\")",
        ),
        (
            K.SQL,
            IN_MODEL
            + "('22001', '[22001] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]String or binary data would be truncated in table shop, column reason. Truncated value: timed out. (2628) (SQLExecDirectW)')",
        ),
        (
            K.PERMISSION,
            IN_MODEL
            + "('42000', \"[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]The SELECT permission was denied on the object 'timeouts', database 'shop', schema 'dbo'. (229) (SQLExecDirectW)\")",
        ),
        (
            K.PERMISSION,
            "('28000', \"[28000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Login failed for user 'dbt'. (18456) (SQLDriverConnect)\")",
        ),
    ],
    "trino": [
        (
            K.SQL,
            IN_MODEL
            + "TrinoUserError(type=USER_ERROR, name=COLUMN_NOT_FOUND, message=\"line 3:5: Column 'timeout' cannot be resolved\", query_id=20240101_050304_00503_abcde)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "TrinoUserError(type=USER_ERROR, name=SYNTAX_ERROR, message=\"line 1:8: mismatched input 'connection'. Expecting: 'BY'\", query_id=20240101_000000_00429_x)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "TrinoUserError(type=USER_ERROR, name=INVALID_CAST_ARGUMENT, message=\"Cannot cast 'server closed the connection' to INT\", query_id=20240101_0)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "TrinoUserError(type=USER_ERROR, name=TABLE_NOT_FOUND, message=\"line 1:15: Table 'hive.raw.deadlock_detected' does not exist\", query_id=20240101_0)",
        ),
        (
            K.SQL,
            IN_MODEL
            + 'TrinoUserError(type=USER_ERROR, name=DIVISION_BY_ZERO, message="Division by zero", query_id=20240101_08006)',
        ),
        (
            K.PERMISSION,
            IN_MODEL
            + 'TrinoUserError(type=USER_ERROR, name=PERMISSION_DENIED, message="Access Denied: Cannot select from table raw.timeouts", query_id=20240101_0)',
        ),
        (
            K.SQL,
            IN_MODEL
            + 'TrinoUserError(type=USER_ERROR, name=TYPE_MISMATCH, message="line 2:3: UNION query has different number of fields: 8, 503", query_id=20240101_0)',
        ),
        (
            K.SQL,
            IN_MODEL
            + 'TrinoUserError(type=USER_ERROR, name=QUERY_HAS_TOO_MANY_STAGES, message="Number of stages in the query (503) exceeds the allowed maximum (150).", query_id=20240101_0)',
        ),
    ],
    "clickhouse": [
        (
            K.SQL,
            IN_MODEL
            + "Code: 47. DB::Exception: Unknown expression identifier `timeout` in scope SELECT timeout FROM raw.connection_refused. (UNKNOWN_IDENTIFIER) (version 24.8.4.13 (official build))",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Code: 60. DB::Exception: Table raw.too_many_connections does not exist. (UNKNOWN_TABLE) (version 24.8.4.13 (official build))",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Code: 62. DB::Exception: Syntax error: failed at position 8 ('timeout'): timeout from t. Expected one of: token, Comma. (SYNTAX_ERROR) (version 24.3)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Code: 6. DB::Exception: Cannot parse string 'Connection reset by peer' as UInt8: syntax error at begin of string. (CANNOT_PARSE_TEXT)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Code: 53. DB::Exception: Type mismatch for column lock_timeout. Column has type String, got type Int64. (TYPE_MISMATCH)",
        ),
        (
            K.PERMISSION,
            IN_MODEL
            + "Code: 497. DB::Exception: dbt: Not enough privileges. To execute this query, it's necessary to have the grant SELECT(timeout) ON raw.t. (ACCESS_DENIED)",
        ),
        (
            K.SQL,
            IN_MODEL
            + "Code: 184. DB::Exception: Aggregate function sum(timeout) AS timeout is found inside another aggregate function in query. (ILLEGAL_AGGREGATION)",
        ),
    ],
    "athena": [
        (
            K.SQL,
            IN_MODEL
            + "COLUMN_NOT_FOUND: line 3:5: Column 'timeout' cannot be resolved or requester is not authorized to access requested resources",
        ),
        (K.SQL, IN_MODEL + "TABLE_NOT_FOUND: line 12:6: Table 'awsdatacatalog.raw.slowdown' does not exist"),
        (K.SQL, IN_MODEL + "SYNTAX_ERROR: line 1:8: Column 'connection' cannot be resolved"),
        (K.SQL, IN_MODEL + "TYPE_MISMATCH: line 503:1: Cannot apply operator: varchar = date"),
        (K.SQL, IN_MODEL + "INVALID_CAST_ARGUMENT: Cannot cast 'Rate exceeded' to INT"),
        (
            K.SQL,
            IN_MODEL
            + "HIVE_BAD_DATA: Field reason's type INT64 in parquet file s3://b/timed out/x.parquet is incompatible with type varchar defined in table schema",
        ),
        (
            K.SQL,
            "Runtime Error in model a (models/a.sql)\n  An error occurred (EntityNotFoundException) when calling the GetTable operation: Entity Not Found: throttling_events",
        ),
        (
            K.PERMISSION,
            "Runtime Error in model a (models/a.sql)\n  An error occurred (AccessDeniedException) when calling the StartQueryExecution operation: User: arn:aws:iam::123456429503:user/dbt is not authorized to perform: athena:StartQueryExecution",
        ),
        (
            K.SQL,
            IN_MODEL
            + "FAILED: ParseException line 1:13 cannot recognize input near 'timeout' 'lock' '(' in column name or constraint",
        ),
    ],
    "mysql": [
        (K.SQL, IN_MODEL + "1054 (42S22): Unknown column 'timeout' in 'field list'"),
        (K.SQL, IN_MODEL + "1146 (42S02): Table 'raw.connection_lost' doesn't exist"),
        (
            K.SQL,
            IN_MODEL
            + "1064 (42000): You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use near 'lock wait timeout exceeded' at line 1",
        ),
        (K.SQL, IN_MODEL + "1062 (23000): Duplicate entry '2013-lost connection' for key 'orders.PRIMARY'"),
        (K.SQL, IN_MODEL + "1366 (HY000): Incorrect integer value: 'Deadlock found' for column 'n' at row 1205"),
        (K.PERMISSION, "1045 (28000): Access denied for user 'timeout'@'10.0.0.1' (using password: YES)"),
        (K.SQL, IN_MODEL + "(1054, \"Unknown column 'too many connections' in 'field list'\")"),
    ],
    "dbt": [
        (
            K.COMPILATION,
            "Compilation Error in model a (models/a.sql)\n  Model 'model.shop.a' (models/a.sql) depends on a node named 'connection_timeout' which was not found",
        ),
        (
            K.COMPILATION,
            "Compilation Error in macro timeout (macros/timeout.sql)\n  'deadlock' is undefined. This can happen when calling a macro that does not exist.",
        ),
        (K.COMPILATION, "Parsing Error\n  Env var required but not provided: 'CONNECTION_TIMEOUT'"),
        (K.CODE, "KeyError: 'connection refused'"),
        (K.CODE, "ValueError: time data 'timed out' does not match format '%Y-%m-%d'"),
        (K.CODE, "ModuleNotFoundError: No module named 'timeout'"),
        (
            K.CONTRACT,
            "Compilation Error in model a (models/a.sql)\n  This model has an enforced contract that failed.\n  | timeout | VARCHAR | INTEGER | data type mismatch |",
        ),
    ],
}

TRANSIENT: Messages = {
    "duckdb": [
        (
            K.LOCK,
            'IO Error: Could not set lock on file "/w/shop.duckdb": Conflicting lock is held in /usr/bin/python3 (PID 7)',
        ),
        (K.LOCK, "  Runtime Error in model a (models/a.sql)\n  TransactionContext Error: Conflict on update!"),
        (
            K.LOCK,
            '  Runtime Error in model a (models/a.sql)\n  TransactionContext Error: Failed to commit: write-write conflict on key: "1"',
        ),
        (
            K.LOCK,
            '  Runtime Error in model a (models/a.sql)\n  TransactionContext Error: Catalog write-write conflict on create with "a__dbt_tmp"',
        ),
        (
            K.OUT_OF_MEMORY,
            "  Runtime Error in model a (models/a.sql)\n  Out of Memory Error: could not allocate block of size 256.0 KiB (3.7 GiB/3.7 GiB used)",
        ),
        (
            K.CONNECTION,
            '  Runtime Error in model a (models/a.sql)\n  IO Error: Unable to connect to Postgres at "host=db": connection to server at "db" (10.0.0.7), port 5432 failed: Connection refused',
        ),
        (
            K.CONNECTION,
            "  Runtime Error in model a (models/a.sql)\n  IO Error: Could not establish connection error for HTTP HEAD to 'https://b.s3.amazonaws.com/x.parquet'",
        ),
        (
            K.CONNECTION,
            "  Runtime Error in model a (models/a.sql)\n  HTTP Error: HTTP GET error on 'https://b.s3.amazonaws.com/x.parquet' (HTTP 503)",
        ),
        (
            K.THROTTLING,
            "  Runtime Error in model a (models/a.sql)\n  HTTP Error: Request returned HTTP 429 for HTTP GET to 'https://api.example.com/x.json'",
        ),
    ],
    "postgres": [
        (
            K.CONNECTION,
            IN_MODEL
            + "server closed the connection unexpectedly\n  \tThis probably means the server terminated abnormally\n  \tbefore or while processing the request.",
        ),
        (K.CONNECTION, IN_MODEL + "SSL connection has been closed unexpectedly"),
        (
            K.TIMEOUT,
            'connection to server at "db" (10.0.0.7), port 5432 failed: Connection timed out\n\tIs the server running on that host and accepting TCP/IP connections?',
        ),
        (K.CONNECTION, 'could not translate host name "db.internal" to address: Name or service not known'),
        (K.CONNECTION, IN_MODEL + "could not receive data from server: Connection reset by peer"),
        (K.CONNECTION, "FATAL:  the database system is in recovery mode"),
        (
            K.CONNECTION,
            "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.",
        ),
        (K.CONNECTION, "psycopg2.errors.AdminShutdown: terminating connection due to administrator command"),
        (
            K.LOCK,
            "psycopg2.errors.DeadlockDetected: deadlock detected\nDETAIL:  Process 12 waits for AccessExclusiveLock on relation 3 of database 5; blocked by process 9.",
        ),
        (
            K.LOCK,
            "(psycopg2.errors.SerializationFailure) could not serialize access due to read/write dependencies among transactions",
        ),
        (K.LOCK, IN_MODEL + 'could not obtain lock on relation "orders"'),
        (K.LOCK, IN_MODEL + "tuple concurrently updated"),
        (K.LOCK, IN_MODEL + "canceling statement due to conflict with recovery"),
        (K.TIMEOUT, "psycopg2.errors.QueryCanceled: canceling statement due to statement timeout"),
        (K.THROTTLING, 'connection to server at "db", port 5432 failed: FATAL:  too many connections for role "dbt"'),
        (
            K.OUT_OF_MEMORY,
            IN_MODEL + "out of shared memory\n  HINT:  You might need to increase max_locks_per_transaction.",
        ),
    ],
    "redshift": [
        (
            K.LOCK,
            IN_MODEL
            + "1023\n  DETAIL:  Serializable isolation violation on table - 105432, transactions forming the cycle are: 41, 42 (pid:7)",
        ),
        (K.LOCK, IN_MODEL + "could not open relation with OID 1234567"),
        (K.LOCK, IN_MODEL + "table 1234567 dropped by concurrent transaction"),
        (
            K.LOCK,
            IN_MODEL
            + "{'S': 'ERROR', 'C': '40001', 'M': 'could not complete because of conflict with concurrent transaction'}",
        ),
        (K.CONNECTION, "('communication error', ConnectionResetError(104, 'Connection reset by peer'))"),
        (
            K.CONNECTION,
            "InterfaceError(\"('communication error', gaierror(-3, 'Temporary failure in name resolution'))\")",
        ),
        (
            K.THROTTLING,
            "{'S': 'FATAL', 'C': '53300', 'M': 'connection limit \"500\" exceeded for non-bootstrap users'}",
        ),
    ],
    "snowflake": [
        (
            K.CONNECTION,
            "250001 (08001): None: Failed to connect to DB: abc.snowflakecomputing.com:443. Failed to connect",
        ),
        (
            K.CONNECTION,
            "250003: Failed to execute request: HTTPSConnectionPool(host='abc.snowflakecomputing.com', port=443): Max retries exceeded with url: /queries/v1",
        ),
        (
            K.CONNECTION,
            IN_MODEL + "390114 (08001): None: Authentication token has expired.  The user must authenticate again.",
        ),
        (
            K.CONNECTION,
            IN_MODEL + "390111 (08001): None: Session no longer exists.  New login required to access the service.",
        ),
        (K.TIMEOUT, IN_MODEL + "000604 (57014): SQL execution canceled"),
        (
            K.TIMEOUT,
            IN_MODEL
            + "000630 (57014): Statement reached its statement or warehouse timeout of 172,800 second(s) and was canceled.",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "000625 (57014): Statement '01b0' has locked table 'ORDERS' in transaction 1706 and this lock has not yet been released.\n  Your statement '01b1' was aborted because the number of waiters for this lock exceeds the 20 statement limit.",
        ),
        (K.CONNECTION, "290503: HTTP 503: Service Unavailable"),
    ],
    "bigquery": [
        (
            K.THROTTLING,
            IN_MODEL
            + "Exceeded rate limits: too many table update operations for this table. For more information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas",
        ),
        (
            K.THROTTLING,
            "403 Quota exceeded: Your project exceeded quota for concurrent queries that use the same user-defined function.; reason: quotaExceeded",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "Transaction is aborted due to concurrent update against table shop:marts.orders. Transaction ID: 67c",
        ),
        (K.LOCK, IN_MODEL + "Could not serialize access to table shop:marts.orders due to concurrent update"),
        (
            K.CONNECTION,
            "500 An internal error occurred and the request could not be completed. This is usually caused by a transient issue. Retrying the job with back-off as described in the BigQuery SLA should solve the problem; reason: internalError",
        ),
        (K.CONNECTION, "502 Bad Gateway: <!DOCTYPE html>"),
        (K.CONNECTION, IN_MODEL + "Error encountered during execution. Retrying may solve the problem."),
        (
            K.CONNECTION,
            "google.api_core.exceptions.ServiceUnavailable: 503 Visibility check was unavailable. Please retry the request and contact support if the problem persists",
        ),
        (K.TIMEOUT, "google.api_core.exceptions.DeadlineExceeded: 504 Deadline Exceeded"),
        (
            K.OUT_OF_MEMORY,
            IN_MODEL
            + "Resources exceeded during query execution: The query could not be executed in the allotted memory. Peak usage: 123% of limit.",
        ),
        (K.CONNECTION, "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"),
    ],
    "databricks": [
        (
            K.LOCK,
            IN_MODEL
            + "[DELTA_CONCURRENT_APPEND.WITH_PARTITION_HINT] ConcurrentAppendException: Files were added to partition [day=1] by a concurrent update. Please try the operation again. SQLSTATE: 2D521",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "io.delta.exceptions.ConcurrentDeleteReadException: This transaction attempted to read one or more files that were deleted",
        ),
        (
            K.LOCK,
            "org.apache.spark.sql.delta.ProtocolChangedException: The protocol version of the Delta table has been changed by a concurrent update.",
        ),
        (
            K.CONNECTION,
            "Runtime Error in model a (models/a.sql)\n  Runtime Error\n    ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        ),
        (
            K.CONNECTION,
            IN_MODEL + "Query could not be scheduled: HTTP Response code: 503. Please try again later. SQLSTATE: XX000",
        ),
        (
            K.CONNECTION,
            "Runtime Error in model a (models/a.sql)\n  Database Error\n    Invalid SessionHandle: SessionHandle [0a1b2c3d]",
        ),
        (
            K.THROTTLING,
            "Runtime Error in model a (models/a.sql)\n  Error during request to server: TEMPORARILY_UNAVAILABLE: Too many requests",
        ),
        (
            K.KILLED,
            "Job aborted due to stage failure: Task 3 in stage 1.0 failed 4 times, most recent failure: ExecutorLostFailure (executor 2 exited caused by one of the running tasks) Reason: Remote RPC client disassociated.",
        ),
        (K.OUT_OF_MEMORY, "org.apache.spark.SparkException: Job aborted. java.lang.OutOfMemoryError: Java heap space"),
        (K.CONNECTION, "thrift.transport.TTransport.TTransportException: TSocket read 0 bytes"),
    ],
    "sqlserver": [
        (
            K.LOCK,
            IN_MODEL
            + "('40001', '[40001] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Transaction (Process ID 108) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction. (1205) (SQLExecDirectW)')",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "('42000', '[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Lock request time out period exceeded. (1222) (SQLExecDirectW)')",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "('42000', \"[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access table 'dbo.t' directly. (3960) (SQLExecDirectW)\")",
        ),
        (
            K.CONNECTION,
            IN_MODEL
            + "('08S01', '[08S01] [Microsoft][ODBC Driver 17 for SQL Server]TCP Provider: Error code 0x68 (104) (SQLExecDirectW)')",
        ),
        (
            K.CONNECTION,
            "('08001', '[08001] [Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired (0) (SQLDriverConnect)')",
        ),
        (
            K.TIMEOUT,
            IN_MODEL
            + "('HYT00', '[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Query timeout expired (0) (SQLExecDirectW)')",
        ),
        (
            K.CONNECTION,
            "('HY000', \"[HY000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Database 'shop' on server 'x' is not currently available.  Please retry the connection later. (40613) (SQLDriverConnect)\")",
        ),
        (
            K.THROTTLING,
            "('42000', '[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Resource ID : 1. The request limit for the database is 90 and has been reached. (10928) (SQLExecDirectW)')",
        ),
    ],
    "trino": [
        (
            K.OUT_OF_MEMORY,
            IN_MODEL
            + 'TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_LOCAL_MEMORY_LIMIT, message="Query exceeded per-node memory limit of 2GB", query_id=20240101_0)',
        ),
        (
            K.TIMEOUT,
            IN_MODEL
            + 'TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_TIME_LIMIT, message="Query exceeded the maximum execution time limit of 30.00m", query_id=20240101_0)',
        ),
        (
            K.CONNECTION,
            IN_MODEL
            + 'TrinoQueryError(type=INTERNAL_ERROR, name=REMOTE_TASK_ERROR, message="Encountered too many errors talking to a worker node.", query_id=20240101_0)',
        ),
        (
            K.CONNECTION,
            'TrinoQueryError(type=INTERNAL_ERROR, name=NO_NODES_AVAILABLE, message="No nodes available to run query", query_id=20240101_0)',
        ),
        (
            K.THROTTLING,
            'TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=QUERY_QUEUE_FULL, message="Too many queued queries for \\"global\\"", query_id=20240101_0)',
        ),
        (
            K.CONNECTION,
            "trino.exceptions.TrinoConnectionError: failed to execute: HTTPConnectionPool(host='trino', port=8080): Max retries exceeded with url: /v1/statement",
        ),
        (K.CONNECTION, "trino.exceptions.Http503Error: error 503: b'Service Unavailable'"),
        (
            K.LOCK,
            IN_MODEL
            + 'TrinoExternalError(type=EXTERNAL, name=ICEBERG_COMMIT_ERROR, message="Failed to commit Iceberg update to table: marts.orders", query_id=20240101_0)',
        ),
    ],
    "clickhouse": [
        (
            K.OUT_OF_MEMORY,
            IN_MODEL
            + "Code: 241. DB::Exception: Memory limit (for query) exceeded: would use 18.75 GiB (attempt to allocate chunk of 4720048 bytes), maximum: 18.63 GiB.: While executing AggregatingTransform. (MEMORY_LIMIT_EXCEEDED) (version 22.8.1.1231 (official build))",
        ),
        (
            K.TIMEOUT,
            IN_MODEL
            + "Code: 159. DB::Exception: Timeout exceeded: elapsed 30.01 seconds, maximum: 30. (TIMEOUT_EXCEEDED)",
        ),
        (K.CONNECTION, "Code: 210. DB::NetException: Connection refused (clickhouse:9000). (NETWORK_ERROR)"),
        (
            K.THROTTLING,
            IN_MODEL
            + "Code: 202. DB::Exception: Too many simultaneous queries. Maximum: 100. (TOO_MANY_SIMULTANEOUS_QUERIES)",
        ),
        (
            K.THROTTLING,
            IN_MODEL
            + "Code: 252. DB::Exception: Too many parts (3000 with average size of 1.00 MiB) in table raw.t. Merges are processing significantly slower than inserts. (TOO_MANY_PARTS)",
        ),
        (
            K.CONNECTION,
            IN_MODEL
            + "Code: 242. DB::Exception: Table is in readonly mode (replica path: /clickhouse/tables/1). (TABLE_IS_READ_ONLY)",
        ),
        (
            K.CONNECTION,
            "clickhouse_connect.driver.exceptions.OperationalError: Error HTTPSConnectionPool(host='x', port=8443): Max retries exceeded with url: /? executing HTTP request attempt 1",
        ),
    ],
    "athena": [
        (
            K.THROTTLING,
            "Runtime Error in model a (models/a.sql)\n  An error occurred (ThrottlingException) when calling the StartQueryExecution operation (reached max retries: 4): Rate exceeded",
        ),
        (
            K.THROTTLING,
            "An error occurred (TooManyRequestsException) when calling the StartQueryExecution operation: You have exceeded the limit for the number of queries you can run concurrently.",
        ),
        (
            K.LOCK,
            IN_MODEL
            + "ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to the table: . If a data manifest file was generated at 's3://b/results.csv', you may need to manually clean the data",
        ),
        (
            K.THROTTLING,
            IN_MODEL
            + "HIVE_CURSOR_FAILURE: com.amazonaws.services.s3.model.AmazonS3Exception: Please reduce your request rate. (Service: Amazon S3; Status Code: 503; Error Code: SlowDown; Request ID: X)",
        ),
        (K.OUT_OF_MEMORY, IN_MODEL + "Query exhausted resources at this scale factor"),
        (K.TIMEOUT, IN_MODEL + "Query timeout"),
        (
            K.CONNECTION,
            IN_MODEL
            + "INTERNAL_ERROR_QUERY_ENGINE: Amazon Athena experienced an internal error while executing this query.",
        ),
        (
            K.CONNECTION,
            'botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "https://athena.eu-west-1.amazonaws.com/"',
        ),
    ],
    "mysql": [
        (K.CONNECTION, IN_MODEL + "2013 (HY000): Lost connection to MySQL server during query"),
        (K.CONNECTION, "2003 (HY000): Can't connect to MySQL server on 'db:3306' (111)"),
        (K.CONNECTION, "(2006, 'MySQL server has gone away')"),
        (K.LOCK, IN_MODEL + "1205 (HY000): Lock wait timeout exceeded; try restarting transaction"),
        (K.LOCK, IN_MODEL + "1213 (40001): Deadlock found when trying to get lock; try restarting transaction"),
        (K.THROTTLING, "1040 (08004): Too many connections"),
        (
            K.TIMEOUT,
            IN_MODEL + "3024 (HY000): Query execution was interrupted, maximum statement execution time exceeded",
        ),
    ],
    "dagster": [
        (K.KILLED, "dagster._core.errors.DagsterExecutionInterruptedError"),
        (
            K.KILLED,
            "Execution was interrupted unexpectedly. No user initiated termination request was found, treating as failure.",
        ),
        (K.KILLED, "Pod run-1 was evicted: The node had condition: [MemoryPressure]."),
        (
            K.CONNECTION,
            "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
        ),
        (K.CONNECTION, "BrokenPipeError: [Errno 32] Broken pipe"),
        (K.CONNECTION, "httpx.ConnectError: [Errno 111] Connection refused"),
        (K.TIMEOUT, "TimeoutError: The read operation timed out"),
        (K.OUT_OF_MEMORY, "MemoryError"),
    ],
}

MORE_PERMANENT = [
    IN_MODEL + "Table not found: lock_timeout; failed to parse view 'a.b' at [1:2]",
    IN_MODEL + "Function not found: connection_lost at [1:8]",
    IN_MODEL
    + "Duplicate column names in the result are not supported when a destination table is present. Found duplicate(s): timeout",
    IN_MODEL + "Cannot read field 'timed out' of type STRING as BOOL",
    IN_MODEL + "Invalid timestamp: 'server closed the connection'",
    IN_MODEL + "Invalid date: timed out",
    IN_MODEL + "Cannot coerce expression timeout to type INT64 at [3:4]",
    IN_MODEL + "Array index 429 is out of bounds",
    IN_MODEL + "Scalar subquery produced more than one element",
    IN_MODEL + "Division by zero: 250001 / 0",
    IN_MODEL + "Column 4 in UNION ALL has incompatible types: INT64, STRING at [503:1]",
    IN_MODEL + "Required parameter is missing: query timeout",
    IN_MODEL + 'Table "lock" must be qualified with a dataset (e.g. dataset.table).',
    IN_MODEL + "Already Exists: Table p:d.deadlock_detected",
    IN_MODEL + "Provided Schema does not match Table p:d.t. Field timeout has changed type from STRING to INTEGER",
    IN_MODEL + "Partitioning expression must be PARTITION BY DATE(timeout)",
    IN_MODEL + 'invalid reference to FROM-clause entry for table "connection"',
    IN_MODEL + "operator does not exist: text = integer\n  LINE 3: where timeout = 503",
    IN_MODEL + "UNION types text and integer cannot be matched",
    IN_MODEL + "cannot cast type boolean to timestamp",
    IN_MODEL + "could not determine polymorphic type because input has type unknown",
    IN_MODEL + "more than one row returned by a subquery used as an expression",
    IN_MODEL + "aggregate functions are not allowed in WHERE",
    IN_MODEL + 'column "t.timeout" must appear in the GROUP BY clause or be used in an aggregate function',
    IN_MODEL
    + "cannot drop table connection_log because other objects depend on it\n  DETAIL:  view timeouts depends on table connection_log\n  HINT:  Use DROP ... CASCADE",
    IN_MODEL + 'invalid byte sequence for encoding "UTF8": 0x00',
    IN_MODEL + "cannot insert multiple commands into a prepared statement",
    IN_MODEL + "Column 'order_id' is of type integer but expression is of type text",
    IN_MODEL + "current transaction is aborted, commands ignored until end of transaction block",
    IN_MODEL + "ON CONFLICT DO UPDATE command cannot affect row a second time",
    IN_MODEL
    + "numeric field overflow\n  DETAIL:  A field with precision 8, scale 2 must round to an absolute value less than 10^6.",
    IN_MODEL + 'invalid input value for enum status: "timed out"',
    IN_MODEL + 'schema "timeout" does not exist',
    IN_MODEL + "cached plan must not change result type",
    IN_MODEL + "002140 (42601): SQL compilation error:\nUnknown function CONNECTION_LOST",
    IN_MODEL
    + "001044 (42P13): SQL compilation error: error line 1 at position 7\nInvalid argument types for function 'TIMEOUT': (VARCHAR)",
    IN_MODEL + "000979 (42601): SQL compilation error:\n[T.TIMEOUT] is not a valid group by expression",
    IN_MODEL + '100071 (22000): Failed to cast variant value "deadlock detected" to FIXED',
    IN_MODEL + "100096 (22000): Could not parse JSON: connection refused",
    IN_MODEL
    + "090105 (22000): Cannot perform CREATE TABLE. This session does not have a current schema. Call 'USE SCHEMA', or use a qualified name.",
    IN_MODEL + "002025 (42S21): SQL compilation error:\nduplicate column name 'TIMEOUT'",
    IN_MODEL + "003540 (42501): SQL execution error: Creating table on shared database 'X' is not allowed.",
    IN_MODEL
    + "090073 (22000): Warehouse 'TIMEOUT_WH' cannot be resumed because resource monitor 'X' has exceeded its quota.",
    IN_MODEL
    + '[MISSING_AGGREGATION] The non-aggregating expression "timeout" is based on columns which are not participating in the GROUP BY clause. SQLSTATE: 42803',
    IN_MODEL + "[SCHEMA_NOT_FOUND] The schema `connection` cannot be found. SQLSTATE: 42704",
    IN_MODEL
    + "[UNRESOLVED_ROUTINE] Cannot resolve routine `deadlock` on search path [`system`.`builtin`]. SQLSTATE: 42883",
    IN_MODEL
    + "[NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION] The 503 rounded half up from 503 cannot be represented as Decimal(2, 0). SQLSTATE: 22003",
    IN_MODEL + "[DELTA_NOT_NULL_CONSTRAINT_VIOLATED] NOT NULL constraint violated for column: timeout. SQLSTATE: 23502",
    IN_MODEL
    + "[DELTA_INSERT_COLUMN_ARITY_MISMATCH] Cannot write to 'a', not enough data columns; target table has 8 columns; SQLSTATE: 42802",
    AT_RUNTIME + "[PATH_NOT_FOUND] Path does not exist: dbfs:/connection reset/x. SQLSTATE: 42K03",
    AT_RUNTIME
    + "org.apache.spark.sql.catalyst.parser.ParseException: \nno viable alternative at input 'lock timeout'(line 1, pos 3)",
    AT_RUNTIME
    + "Undefined function: 'timeout'. This function is neither a registered temporary function nor a permanent function registered in the database 'default'.; line 1 pos 7",
    AT_RUNTIME + 'java.lang.NumberFormatException: For input string: "connection refused"',
    AT_RUNTIME + "Column 'timeout' does not exist. Did you mean one of the following? [timed_out]; line 3 pos 2",
    IN_MODEL
    + "('42000', \"[42000] [Microsoft][ODBC Driver 17 for SQL Server][SQL Server]Column 'dbo.t.deadlock' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause. (8120) (SQLExecDirectW)\")",
    IN_MODEL
    + "('22003', '[22003] [Microsoft][ODBC Driver 17 for SQL Server][SQL Server]Arithmetic overflow error converting numeric to data type numeric. (8115) (SQLExecDirectW)')",
    IN_MODEL
    + "('22012', '[22012] [Microsoft][ODBC Driver 17 for SQL Server][SQL Server]Divide by zero error encountered. (8134) (SQLExecDirectW)')",
    "('42000', '[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Cannot open database \"timeout\" requested by the login. The login failed. (4060) (SQLDriverConnect)')",
    IN_MODEL
    + "TrinoUserError(type=USER_ERROR, name=FUNCTION_NOT_FOUND, message=\"line 1:8: Function 'timeout' not registered\", query_id=x)",
    IN_MODEL
    + "TrinoUserError(type=USER_ERROR, name=EXPRESSION_NOT_AGGREGATE, message=\"line 1:8: 'connection' must be an aggregate expression or appear in GROUP BY clause\", query_id=x)",
    IN_MODEL
    + 'TrinoUserError(type=USER_ERROR, name=SUBQUERY_MULTIPLE_ROWS, message="Scalar sub-query has returned multiple rows", query_id=x)',
    IN_MODEL
    + 'TrinoUserError(type=USER_ERROR, name=CONSTRAINT_VIOLATION, message="NULL value not allowed for NOT NULL column: timeout", query_id=x)',
    IN_MODEL + 'TrinoExternalError(type=EXTERNAL, name=HIVE_BAD_DATA, message="Malformed file timed out", query_id=x)',
    IN_MODEL
    + "Code: 46. DB::Exception: Function with name `timeout` does not exist. In scope SELECT timeout(1). (UNKNOWN_FUNCTION) (version 24.8)",
    IN_MODEL
    + "Code: 43. DB::Exception: Illegal type String of argument of function sum: In scope SELECT sum(deadlock) FROM t. (ILLEGAL_TYPE_OF_ARGUMENT)",
    IN_MODEL
    + "Code: 215. DB::Exception: Column `timeout` is not under aggregate function and not in GROUP BY. (NOT_AN_AGGREGATE)",
    IN_MODEL
    + "Code: 349. DB::Exception: Cannot convert NULL value to non-Nullable type: while converting source column timeout to destination column timeout. (CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN)",
    IN_MODEL + "Code: 16. DB::Exception: No such column timeout in table raw.t (abc). (NO_SUCH_COLUMN_IN_TABLE)",
    IN_MODEL + "Code: 57. DB::Exception: Table marts.connection already exists. (TABLE_ALREADY_EXISTS)",
    IN_MODEL + "Code: 81. DB::Exception: Database connection_lost does not exist. (UNKNOWN_DATABASE)",
    IN_MODEL
    + "FAILED: SemanticException [Error 10004]: Line 1:7 Invalid table alias or column reference 'timeout': (possible column names are: a, b)",
    IN_MODEL + "GENERIC_USER_ERROR: line 3:1: Query timeout column",
    IN_MODEL
    + "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. The column 'timeout' in table",
    IN_MODEL + "1048 (23000): Column 'timeout' cannot be null",
    IN_MODEL + "1292 (22007): Incorrect datetime value: 'timed out' for column 'a' at row 1",
    IN_MODEL + "1406 (22001): Data too long for column 'reason' at row 503",
    IN_MODEL + "1264 (22003): Out of range value for column 'n' at row 1213",
    IN_MODEL + "1305 (42000): FUNCTION shop.timeout does not exist",
    IN_MODEL + "1052 (23000): Column 'connection' in field list is ambiguous",
    IN_MODEL + 'ORA-00904: "TIMEOUT": invalid identifier',
    IN_MODEL + 'ORA-00942: table or view "RAW"."DEADLOCK" does not exist',
    AT_RUNTIME + 'Binder Error: Table "t" does not have a column named "timeout"\n\nCandidate bindings: "connection"',
    AT_RUNTIME
    + "Binder Error: No function matches the given name and argument types 'timeout(VARCHAR)'. You might need to add explicit type casts.",
    AT_RUNTIME
    + 'Conversion Error: timestamp field value out of range: "timed out", expected format is (YYYY-MM-DD HH:MM:SS)',
    AT_RUNTIME + "Catalog Error: Scalar Function with name connection_lost does not exist!",
    AT_RUNTIME + "Mismatch Type Error: Type INT32 does not match with VARCHAR. connection reset",
    AT_RUNTIME + "Constraint Error: NOT NULL constraint failed: t.lock_timeout",
    AT_RUNTIME
    + "Invalid Input Error: More than one row returned by a subquery used as an expression - scalar subqueries can only return a single row.",
    AT_RUNTIME
    + "Invalid Input Error: Malformed JSON at byte 429 of input: unexpected character. Input: connection refused",
    AT_RUNTIME + "Binder Error: Contents of view were altered: types don't match! Expected [timeout]",
    AT_RUNTIME + 'IO Error: Cannot open file "/data/timeout.parquet": No such file or directory',
    AT_RUNTIME + "Invalid Error: vector::_M_range_check: __n (which is 503) >= this->size() (which is 3)",
    AT_RUNTIME + "INTERNAL Error: Attempted to access index 429 within vector of size 3",
    AT_RUNTIME
    + "Connection Error: Can't open a connection to same database file with a different configuration than existing connections",
    'Runtime Error\n  Credentials in profile "shop", target "timeout" invalid: \'schema\' is a required property',
    "Dependency Error\n  Could not find package 'connection/timeout'",
    "Got 503 results, configured to fail if != 0",
    "RuntimeError: step failed",
    "dagster._core.errors.DagsterTypeCheckDidNotPass: Type check failed for step output timeout",
    "AttributeError: 'NoneType' object has no attribute 'timeout'",
    "analytics_dagster.errors.SettingsError: The settings, read from the environment, can't be used:\n  ANALYTICS_ALERT_TIMEOUT: Input should be a valid number",
    'psycopg2.errors.UndefinedColumn: column "timeout" does not exist',
    'psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint "x"\nDETAIL:  Key (id)=(40001) already exists.',
    "sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedTable) relation \"deadlock\" does not exist\n[SQL: select * from deadlock where reason='connection refused']",
    "sqlalchemy.exc.IntegrityError: (sqlite3.IntegrityError) UNIQUE constraint failed: t.timeout",
    "requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://x/timeout",
    "requests.exceptions.HTTPError: 400 Client Error: Bad Request for url: https://x/503",
    "botocore.errorfactory.NoSuchKey: An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist.",
    IN_MODEL + 'invalid input syntax for type uuid: "SQLSTATE 08006 HTTP 503 status code 429"',
    IN_MODEL + "Key (code)=(HTTP 503) is duplicated.",
    IN_MODEL + 'could not create unique index "u"\n  DETAIL:  Key (reason)=(connection timed out) is duplicated.',
    IN_MODEL + "Failing row contains (1, deadlock detected, 40001).",
    IN_MODEL + "date too large for timeout: 08006",
    IN_MODEL + "integer out of range",
    IN_MODEL + "Column timeout cannot be added because it already exists",
    IN_MODEL + 'column "connection" is of type integer but expression is of type character varying',
    IN_MODEL
    + "ERROR:  Spectrum Scan Error\nDETAIL: error: Spectrum Scan Error code: 15007 context: File 'https://s3/…/timeout.parquet has an incompatible Parquet schema for column",
    IN_MODEL + "Cannot cast Connection to integer",
    IN_MODEL
    + "[UNSUPPORTED_FEATURE.TIME_TRAVEL] The feature is not supported: Time travel on the relation: `timeout`. SQLSTATE: 0A000",
    IN_MODEL + "[DELTA_TABLE_NOT_FOUND] Delta table `connection_lost` doesn't exist. SQLSTATE: 42P01",
    IN_MODEL
    + "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `timeout` requires 2 parameters but the actual number is 503. SQLSTATE: 42605",
    IN_MODEL
    + "[GROUP_BY_AGGREGATE] Aggregate functions are not allowed in GROUP BY, but found sum(deadlock). SQLSTATE: 42903",
    IN_MODEL + "[FIELD_NOT_FOUND] No such struct field `timed_out` in `a`, `b`. SQLSTATE: 42704",
    AT_RUNTIME + "Error in query: Table or view 'connection_reset' not found in database 'raw';",
    AT_RUNTIME + "cannot resolve '`deadlock`' given input columns: [a.id, a.connection, a.timeout];",
    IN_MODEL + "Value '503' is not recognized as a BOOLEAN",
    IN_MODEL
    + "100132 (P0000): JavaScript execution error: Uncaught Error: connection timed out in MY_PROC at 'throw' position 3",
    IN_MODEL + "091016 (22000): Remote file 'stage://timeout.csv' was not found. There are several potential causes.",
    IN_MODEL
    + "002057 (42601): SQL compilation error:\nView definition for 'A.B.TIMEOUT' declared 8 column(s), but view query produces 503 column(s).",
    IN_MODEL + "000002 (0A000): Unsupported feature 'TIMEOUT'.",
    IN_MODEL + "003041 (42710): SQL compilation error: Object 'CONNECTION_LOST' already exists",
    IN_MODEL + "Query error: Column x contains an aggregation function, which is not allowed in GROUP BY at [429:3]",
    IN_MODEL
    + "No matching signature for operator = for argument types: STRING, INT64. Supported signature: ANY = ANY at [503:12]",
    IN_MODEL + "Dataset project:connection_errors was not found in location EU",
    IN_MODEL + "Aggregate function SUM not allowed in WHERE clause at [8:5]",
    IN_MODEL
    + "JSON parsing error: Illegal escaped character 'timeout' in string: backslash followed by invalid escape",
    IN_MODEL + "WITH clause element cannot be referenced recursively: deadlock",
    IN_MODEL + "Invalid project ID 'too many requests'. Project IDs must contain 6-63 lowercase letters",
    IN_MODEL + "Cannot access field timeout on a value with type INT64 at [1:10]",
    IN_MODEL + "ORA-01722: invalid number",
    IN_MODEL + "ORA-00001: unique constraint (SHOP.DEADLOCK) violated",
    IN_MODEL + 'ORA-01400: cannot insert NULL into ("SHOP"."T"."TIMEOUT")',
    IN_MODEL + "1364 (HY000): Field 'timeout' doesn't have a default value",
    IN_MODEL + "1265 (01000): Data truncated for column 'lock' at row 2013",
    IN_MODEL
    + "1451 (23000): Cannot delete or update a parent row: a foreign key constraint fails (`a`.`connection`, CONSTRAINT `x` FOREIGN KEY (`timeout`) REFERENCES `b` (`id`))",
    IN_MODEL
    + "('42000', '[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Must declare the scalar variable \"@timeout\". (137) (SQLExecDirectW)')",
    IN_MODEL
    + "('23000', \"[23000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Cannot insert the value NULL into column 'deadlock', table 'shop.dbo.t'; column does not allow nulls. INSERT fails. (515) (SQLExecDirectW)\")",
    IN_MODEL
    + "('42000', \"[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Column names in each table must be unique. Column name 'timeout' in table 'x' is specified more than once. (2705) (SQLExecDirectW)\")",
    IN_MODEL
    + "('42000', '[42000] [Microsoft][ODBC Driver 17 for SQL Server][SQL Server]Error converting data type varchar to numeric. (8114) (SQLExecDirectW)')",
    IN_MODEL
    + "('42S01', \"[42S01] [Microsoft][ODBC Driver 17 for SQL Server][SQL Server]There is already an object named 'connection' in the database. (2714) (SQLExecDirectW)\")",
    IN_MODEL + 'TrinoUserError(type=USER_ERROR, name=MISSING_COLUMN_NAME, message="timeout", query_id=x)',
    IN_MODEL
    + "TrinoUserError(type=USER_ERROR, name=AMBIGUOUS_NAME, message=\"line 1:8: Column 'connection' is ambiguous\", query_id=x)",
    IN_MODEL
    + 'TrinoUserError(type=USER_ERROR, name=NUMERIC_VALUE_OUT_OF_RANGE, message="timeout: 250001", query_id=x)',
    IN_MODEL
    + "TrinoUserError(type=USER_ERROR, name=SCHEMA_NOT_FOUND, message=\"line 1:1: Schema 'deadlock' does not exist\", query_id=x)",
    IN_MODEL
    + 'TrinoUserError(type=USER_ERROR, name=INVALID_FUNCTION_ARGUMENT, message="Cannot parse timestamp: timed out", query_id=x)',
    IN_MODEL
    + "Code: 27. DB::Exception: Cannot parse input: expected ',' before: 'connection refused': (at row 503). (CANNOT_PARSE_INPUT_ASSERTION_FAILED)",
    IN_MODEL + "Code: 41. DB::Exception: Cannot parse DateTime: timed out. (CANNOT_PARSE_DATETIME)",
    IN_MODEL + "Code: 10. DB::Exception: Not found column timeout in block. (NOT_FOUND_COLUMN_IN_BLOCK)",
    IN_MODEL
    + "Code: 117. DB::Exception: Unknown field found while parsing JSONEachRow format: connection_lost: (at row 1). (INCORRECT_DATA)",
    IN_MODEL + "Code: 44. DB::Exception: Sorting key cannot contain nullable columns, timeout. (ILLEGAL_COLUMN)",
    IN_MODEL + "Code: 122. DB::Exception: Tables have different structure: deadlock. (INCOMPATIBLE_COLUMNS)",
    IN_MODEL + "Code: 352. DB::Exception: Block structure mismatch: timeout. (AMBIGUOUS_COLUMN_NAME)",
    IN_MODEL + 'INVALID_FUNCTION_ARGUMENT: Invalid format: "timed out"',
    IN_MODEL + "NOT_SUPPORTED: Unsupported Hive type: timeout",
    IN_MODEL + "DUPLICATE_COLUMN_NAME: line 1:8: Column name 'connection' specified more than once",
    IN_MODEL + "TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers for partitions/buckets.",
    AT_RUNTIME + "Parser Error: syntax error at end of input",
    AT_RUNTIME + 'Catalog Error: Type with name connection does not exist!\nDid you mean "date"?',
    AT_RUNTIME + 'Binder Error: Table function "read_csv" does not support the supplied arguments: timeout',
    AT_RUNTIME + 'Conversion Error: invalid date field format: "deadlock detected", expected format is (YYYY-MM-DD)',
    AT_RUNTIME + "Invalid Input Error: Failed to cast value: Could not convert string 'lock' to BOOL",
    AT_RUNTIME
    + "Invalid Input Error: Required module 'pandas' failed to import, due to the following Python exception:\nModuleNotFoundError: No module named 'pandas'",
    AT_RUNTIME + "Python model failed:\nKeyError: 'timeout'",
    AT_RUNTIME + "Python model failed:\nTypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "Traceback (most recent call last):\n  File \"x.py\", line 503, in connect\n    raise ValueError('timeout must be positive')\nValueError: timeout must be positive",
    "dbt.exceptions.DbtRuntimeError: Runtime Error\n  Could not find profile named 'timeout'",
    "Validation Error\n  Invalid value for on_schema_change (connection) specified. Setting default value of ignore.",
]
"""Errors of which no kind is transient."""

MORE_TRANSIENT = [
    IN_MODEL + "connection already closed",
    "psycopg2.InterfaceError: connection already closed",
    "psycopg2.OperationalError: server closed the connection unexpectedly",
    "FATAL:  terminating connection due to idle-in-transaction timeout",
    'connection to server at "db" (10.0.0.1), port 5432 failed: No route to host\n\tIs the server running on that host and accepting TCP/IP connections?',
    'connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  the database system is shutting down',
    'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory\n\tIs the server running locally and accepting connections on that socket?',
    "could not connect to server: Connection refused",
    "SSL error: decryption failed or bad record mac",
    "could not send data to server: Broken pipe",
    IN_MODEL + "canceling statement due to user request",
    IN_MODEL + "cursor can only scan forward\n server closed the connection unexpectedly",
    "FATAL:  sorry, too many clients already",
    IN_MODEL + "could not serialize access due to concurrent delete",
    IN_MODEL + 'out of memory\n  DETAIL:  Failed on request of size 40 in memory context "ExecutorState".',
    "FATAL: remaining connection slots are reserved for non-replication superuser connections",
    IN_MODEL + "ERROR: Query (123) cancelled on user's request",
    IN_MODEL + "ssl.SSLEOFError: EOF occurred in violation of protocol (_ssl.c:2393)",
    IN_MODEL + "The connection has been closed by the server: read timed out",
    "redshift_connector.error.InterfaceError: ('communication error', TimeoutError(110, 'Connection timed out'))",
    "290404 (08001): None: 404 Not Found: post abc.snowflakecomputing.com:443/session/v1/login-request",
    "250001 (08001): Failed to connect to DB: x. Could not connect to Snowflake backend after 2 attempt(s).Aborting",
    "snowflake.connector.errors.OperationalError: 250005: Failed to connect: read timed out",
    IN_MODEL
    + "000603 (XX000): SQL execution internal error:\nProcessing aborted by error 300010:391167117; incident 5",
    IN_MODEL + "Job exceeded rate limits: Your project exceeded quota for concurrent queries.",
    "google.api_core.exceptions.TooManyRequests: 429 Exceeded rate limits",
    "google.api_core.exceptions.InternalServerError: 500 GET https://bigquery.googleapis.com: An internal error occurred",
    "google.api_core.exceptions.BadGateway: 502 GET https://x",
    "google.api_core.exceptions.RetryError: Deadline of 600.0s exceeded while calling target function",
    "google.auth.exceptions.TransportError: HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded with url: /token (Caused by NewConnectionError('<urllib3>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution'))",
    "requests.exceptions.ChunkedEncodingError: ('Connection broken: IncompleteRead(0 bytes read)', IncompleteRead(0 bytes read))",
    IN_MODEL + "The job encountered an internal error during execution and was unable to complete successfully.",
    IN_MODEL
    + "Operation timed out after 6.0 hour. Consider reducing the amount of work performed by your operation so that it can complete within this limit.",
    "databricks.sql.exc.RequestError: Error during request to server: : Read timed out.",
    "databricks.sql.exc.RequestError: Error during request to server. Retry request would exceed Retry policy max retry duration of 900.0 seconds",
    "databricks.sql.exc.ServerOperationError: [DELTA_CONCURRENT_DELETE_READ] ConcurrentDeleteReadException: This transaction attempted to read one or more files",
    IN_MODEL
    + "The Spark driver has stopped unexpectedly and is restarting. Your notebook will be automatically reattached.",
    AT_RUNTIME + "Connection failed with error: HTTPSConnectionPool(host='x'): Read timed out.",
    AT_RUNTIME
    + "Failed to connect: thrift.transport.TTransport.TTransportException: Could not connect to any of [('10.0.0.1', 10000)]",
    AT_RUNTIME + "java.util.concurrent.TimeoutException: Futures timed out after [300 seconds]",
    AT_RUNTIME + "Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB physical memory used.",
    AT_RUNTIME
    + "org.apache.spark.SparkException: Job aborted due to stage failure: Total size of serialized results... Executor heartbeat timed out after 130 s",
    IN_MODEL + "[RequestId=abc ErrorClass=UNAVAILABLE] service temporarily unavailable",
    "('08S01', '[08S01] [Microsoft][ODBC Driver 18 for SQL Server]Communication link failure (0) (SQLExecDirectW)')",
    "('08S01', '[08S01] [Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: An existing connection was forcibly closed by the remote host.\\r\\n (10054) (SQLExecDirectW)')",
    "('HYT00', '[HYT00] [unixODBC][Microsoft][ODBC Driver 17 for SQL Server]Login timeout expired (0) (SQLDriverConnect)')",
    "('40001', '[40001] Transaction (Process ID 1) was deadlocked (1205)')",
    "('40197', '[40197] The service has encountered an error processing your request. Please try again. (40197)')",
    "('42000', '[42000] [SQL Server]The service is currently busy. Retry the request after 10 seconds. (40501) (SQLExecDirectW)')",
    "('42000', '[42000] [SQL Server]There is insufficient system memory in resource pool to run this query. (701) (SQLExecDirectW)')",
    'TrinoQueryError(type=INTERNAL_ERROR, name=SERVER_STARTING_UP, message="Trino server is still initializing", query_id=x)',
    'TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=CLUSTER_OUT_OF_MEMORY, message="Query killed because the cluster is out of memory. Please try again in a few minutes.", query_id=x)',
    'TrinoQueryError(type=INTERNAL_ERROR, name=PAGE_TRANSPORT_TIMEOUT, message="x", query_id=x)',
    "trino.exceptions.Http502Error: error 502: b'<html>'",
    "trino.exceptions.Http504Error: error 504: b'upstream'",
    "TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_GLOBAL_MEMORY_LIMIT, message='Query exceeded distributed user memory limit of 20GB')",
    "Code: 209. DB::NetException: Timeout: connect timed out: 10.0.0.1:9000. (SOCKET_TIMEOUT)",
    "Code: 279. DB::NetException: All connection tries failed. (ALL_CONNECTION_TRIES_FAILED)",
    "Code: 999. Coordination::Exception: Session expired. (KEEPER_EXCEPTION)",
    "Code: 203. DB::Exception: No free connection (NO_FREE_CONNECTION)",
    "HTTPDriver for http://x:8123 returned response code 503",
    "clickhouse_driver.errors.NetworkError: Code: 210. Connection refused (localhost:9000)",
    "clickhouse_driver.errors.SocketTimeoutError: Code: 209. (localhost:9000)",
    "An error occurred (RequestLimitExceeded) when calling the X operation: Request limit exceeded.",
    "An error occurred (SlowDown) when calling the PutObject operation (reached max retries: 4): Please reduce your request rate.",
    "An error occurred (InternalServerException) when calling the GetQueryExecution operation: Internal error",
    "An error occurred (ServiceUnavailable) when calling the PutObject operation: Service is unable to handle request.",
    'botocore.exceptions.ReadTimeoutError: Read timeout on endpoint URL: "https://athena"',
    'botocore.exceptions.ConnectTimeoutError: Connect timeout on endpoint URL: "None"',
    "botocore.exceptions.ConnectionClosedError: Connection was closed before we received a valid response from endpoint URL",
    "2055 (HY000): Lost connection to MySQL server at 'db:3306', system error: 104",
    "2005 (HY000): Unknown MySQL server host 'db' (-2)",
    "1203 (42000): User dbt already has more than 'max_user_connections' active connections",
    "mysql.connector.errors.OperationalError: MySQL Connection not available.",
    "ORA-03113: end-of-file on communication channel",
    "ORA-12541: TNS:no listener",
    "ORA-00060: deadlock detected while waiting for resource",
    "DPY-4011: the database or network closed the connection",
    "sqlite3.OperationalError: database is locked",
    'IO Error: Could not set lock on file "/x": Resource temporarily unavailable',
    AT_RUNTIME + 'IO Error: Failed to download extension "httpfs": Could not resolve host',
    AT_RUNTIME + "HTTP Error: Failed to download extension, Could not establish connection",
    AT_RUNTIME + "IO Error: Connection error for HTTP GET to 'https://x'",
    AT_RUNTIME + "HTTP Error: HTTP GET error on 'https://x' (HTTP 502)",
    AT_RUNTIME + "IO Error: Could not read from s3: HTTP 500 Internal Server Error",
    "duckdb.duckdb.OutOfMemoryException: Out of Memory Error: failed to pin block of size 256.0 KiB",
    'TransactionContext Error: Failed to commit: Failed to commit DuckLake transaction.\nTransaction conflict - attempting to insert into table with index "1" - but another transaction has altered it',
    "OperationalError: (2013, 'Lost connection to MySQL server during query')",
    "urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='x'): Max retries exceeded with url: /",
    "aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected",
    "socket.gaierror: [Errno -2] Name or service not known",
    "OSError: [Errno 113] No route to host",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://x",
    "requests.exceptions.HTTPError: 429 Client Error: Too Many Requests for url: https://x",
    'grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "failed to connect to all addresses"',
    "dagster._core.executor.child_process_executor.ChildProcessCrashException",
    "The run was cut off: process 7 has ended.",
    "Step dbt_hourly finished unexpectedly: Pod was terminated with exit code 137",
    "Detected run worker status FAILED",
    "The pod was preempted",
    "The node was low on resource: ephemeral-storage.",
    AT_RUNTIME + "Error while executing query: java.net.SocketTimeoutException: Read timed out",
    AT_RUNTIME + "java.net.ConnectException: Connection refused (Connection refused)",
    AT_RUNTIME
    + "com.amazonaws.services.s3.model.AmazonS3Exception: Slow Down (Service: Amazon S3; Status Code: 503; Error Code: 503 Slow Down)",
    AT_RUNTIME
    + "org.apache.hadoop.hive.metastore.api.MetaException: Could not connect to meta store using any of the URIs provided.",
    AT_RUNTIME + "org.apache.spark.SparkException: Exception thrown in awaitResult: Timed out waiting 300 s",
    AT_RUNTIME + "INVALID_STATE: Cluster 0423-1 is terminated. Please restart",
    IN_MODEL + "Query canceled due to statement timeout",
    IN_MODEL + "Query has been timed out due to inactivity.",
    IN_MODEL + "Error operating WAREHOUSE: Timeout was reached",
    IN_MODEL + "HTTPSConnectionPool(host='adb.azuredatabricks.net', port=443): Read timed out. (read timeout=900)",
    IN_MODEL + "error: [Errno 104] Connection reset by peer",
    "ssl.SSLError: [SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed or bad record mac",
    "urllib3.exceptions.ProtocolError: ('Connection broken: ConnectionResetError(104, \\'Connection reset by peer\\')', ConnectionResetError(104, 'Connection reset by peer'))",
    "requests.exceptions.SSLError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: / (Caused by SSLError(SSLEOFError(8, 'EOF occurred in violation of protocol')))",
    'psycopg2.OperationalError: connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  remaining connection slots are reserved',
    'psycopg2.OperationalError: could not translate host name "db" to address: Name or service not known',
    "psycopg2.errors.IdleInTransactionSessionTimeout: terminating connection due to idle-in-transaction timeout",
    'psycopg2.errors.ObjectInUse: database "x" is being accessed by other users',
    "psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly",
    "asyncpg.exceptions.ConnectionDoesNotExistError: connection was closed in the middle of operation",
    "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) server closed the connection unexpectedly\n[SQL: select 1]",
    IN_MODEL + 'too many connections for database "shop"',
    IN_MODEL + "FATAL: the database system is in recovery mode",
    IN_MODEL + "ERROR: could not complete because of conflict with concurrent transaction",
    IN_MODEL + "Table 1234 was dropped by a concurrent transaction",
    "redshift_connector.error.OperationalError: ('communication error', gaierror(-2, 'Name or service not known'))",
    "Redshift: connection time out!",
    "250002 (08003): None: Connection is closed",
    "390112 (08001): Your session has expired. Please login again.",
    "snowflake.connector.errors.DatabaseError: 250001 (08001): Failed to connect to DB: x: HTTP 503: Service Unavailable",
    "snowflake.connector.errors.ServiceUnavailableError: 290503 (08001): 503 Service Unavailable",
    "snowflake.connector.errors.GatewayTimeoutError: 290504 (08001): 504 Gateway Timeout",
    IN_MODEL + "000604 (57014): SQL execution canceled",
    "Snowflake: 000625 (57014): Statement '01' was aborted because the number of waiters for this lock exceeds the 20 statements limit.",
    "google.api_core.exceptions.Forbidden: 403 Exceeded rate limits: too many api requests per user per method for this user_method. reason: rateLimitExceeded",
    "google.api_core.exceptions.BadRequest: 400 Transaction is aborted due to concurrent update against table p:d.t",
    "google.api_core.exceptions.Aborted: 409 Transaction aborted due to concurrent update",
    "google.api_core.exceptions.GatewayTimeout: 504 Deadline Exceeded",
    "google.api_core.exceptions.InternalServerError: 500 backendError",
    IN_MODEL
    + "tableUnavailable: Something went wrong with the table you queried. Contact the table owner for assistance. reason: tableUnavailable",
    "('08001', '[08001] [Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: Error code 0x2746 (10054) (SQLDriverConnect)')",
    "('08S01', '[08S01] [FreeTDS][SQL Server]Write to the server failed (20006) (SQLExecDirectW)')",
    "('HYT01', '[HYT01] [Microsoft][ODBC Driver 18 for SQL Server]Connection timeout expired (0) (SQLDriverConnect)')",
    "('42000', '[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]The service has encountered an error processing your request. Please try again. Error code 40197. (40197) (SQLExecDirectW)')",
    "('42000', '[42000] [SQL Server]Resource ID : 1. The session limit for the database is 300 and has been reached. (10928) (SQLExecDirectW)')",
    'trino.exceptions.TrinoQueryError: TrinoQueryError(type=INTERNAL_ERROR, name=REMOTE_HOST_GONE, message="http://10.0.0.1:8080 is gone")',
    "TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_CPU_LIMIT, message='Query exceeded the maximum CPU time limit')",
    'TrinoExternalError(type=EXTERNAL, name=TRANSACTION_CONFLICT, message="Failed to write Delta Lake transaction log entry")',
    "Code: 209. DB::NetException: Timeout exceeded while reading from socket (10.0.0.1:9440, 300000 ms). (SOCKET_TIMEOUT)",
    "Code: 1000. DB::Exception: Host not found: clickhouse. (POCO_EXCEPTION)",
    "Code: 173. DB::ErrnoException: Allocator: Cannot mmap 64.00 KiB., errno: 12, strerror: Cannot allocate memory. (CANNOT_ALLOCATE_MEMORY)",
    "Code: 32. DB::Exception: Attempt to read after eof: while receiving packet from x:9000. (ATTEMPT_TO_READ_AFTER_EOF)",
    "An error occurred (ThrottlingException) when calling the GetTable operation (reached max retries: 4): Rate exceeded",
    "An error occurred (InternalError) when calling the UploadPart operation (reached max retries: 4): We encountered an internal error. Please try again.",
    "An error occurred (RequestTimeout) when calling the PutObject operation: Your socket connection to the server was not read from or written to within the timeout period.",
    "botocore.exceptions.ResponseStreamingError: An error occurred while reading from response stream: ('Connection broken: ConnectionResetError(104)')",
    "Query exhausted resources on this scale factor.",
    "1205 (HY000): Lock wait timeout exceeded; try restarting transaction",
    "1927 (70100): Connection was killed",
    "2026 (HY000): SSL connection error: error:00000000:lib(0):func(0):reason(0)",
    "pymysql.err.OperationalError: (2013, 'Lost connection to MySQL server during query ([Errno 110] Connection timed out)')",
    "ORA-12170: TNS:Connect timeout occurred",
    'oracledb.exceptions.OperationalError: DPY-6005: cannot connect to database. Connection failed with "[Errno 111] Connection refused"',
    AT_RUNTIME + "IO Error: SSL connection failed error for HTTP GET to 'https://x'",
    AT_RUNTIME + "IO Error: Connection timed out error for HTTP HEAD",
    "TransactionContext Error: Failed to commit: Transaction conflict on table",
    "duckdb.duckdb.TransactionException: TransactionContext Error: Conflict on tuple deletion!",
    AT_RUNTIME + "Out of Memory Error: Allocation failure",
    "Process finished: SIGKILL",
    "Pod run-abc was terminated: OOMKilled",
    "The node was terminated: spot instance interruption",
    "Pod was evicted due to node pressure",
]
"""Errors of which every kind is transient."""
