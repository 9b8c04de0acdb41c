# ruff: noqa: E501, S608 - original messages
"""Messages of real errors by adapter. `PERMANENT` ones contain a word or number that looks like a transient error."""

from __future__ import annotations

from collections.abc import Mapping

from analytics_dagster.execution.failures.classification import FailureKind

K = FailureKind

Messages = Mapping[str, list[tuple[FailureKind, str]]]

IN_MODEL = "Database Error in model orders (models/marts/orders.sql)\n  "
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
