"""Checks that a PostgreSQL warehouse can be reached and written, with a table that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from analytics_dagster.cli.doctor.result import CheckResult, Clocks
from analytics_dagster.cli.doctor.warehouse import CHECK
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import postgres, quoted

if TYPE_CHECKING:
    import psycopg2.extensions

_PROBE = "analytics_dagster_probe"
_STATEMENT_TIMEOUT = "20s"  # the catalog may be locked


_SERVER_QUERY = """
select current_setting('server_version'), current_user, current_database(), clock_timestamp(),
    current_setting('transaction_read_only') = 'on', has_database_privilege(current_database(), 'create'),
    exists (select from pg_namespace where nspname = %s)
"""


def check_postgres(target: Target, clocks: Clocks) -> Iterator[CheckResult]:
    """Yield whether the warehouse can be written; raises `WarehouseError` with a remedy if it can't be reached."""
    with closing(postgres.connect(target, read_only=False)) as connection, connection.cursor() as cursor:
        # dbt connects with the server's default for this user.
        cursor.execute(f"reset default_transaction_read_only; set statement_timeout = '{_STATEMENT_TIMEOUT}'")
        cursor.execute(_SERVER_QUERY, [target.schema])
        [(version, user, database, now, is_read_only, creates_schemas, exists)] = cursor.fetchall()
        clocks["the warehouse"] = now
        can_try = not is_read_only and (exists or creates_schemas)
        refused = _try_to_write(cursor, target.schema, create_schema=not exists) if can_try else ""
    where = f"PostgreSQL {version} at {target.credentials.get('host')}, database {database}"
    grant = f"As the owner of the database: grant create on database {quoted(database)} to {quoted(user)}"
    if is_read_only:
        alter = f"alter role {quoted(user)} set default_transaction_read_only = off"
        yield CHECK.error(f"{where}: {user} can read but not write.", f"Use the primary server, or run: {alter}")
    elif not can_try:
        message = f"{where}: the schema {target.schema} does not exist, and {user} may not create it."
        yield CHECK.error(message, grant)
    elif refused:
        message = f"{where}: {user} can't create a table in the schema {target.schema}: {target.redact(refused)}"
        right = f"grant usage, create on schema {quoted(target.schema)} to {quoted(user)}"
        yield CHECK.error(message, f"As the owner of the schema: {right}")
    else:
        if not creates_schemas:
            message = f"{user} may not create schemas in the database {database}, only use existing ones."
            yield CHECK.warning(message, grant)
        yield CHECK.ok(f"{where}: tables can be created in the schema {target.schema}.")


def _try_to_write(cursor: psycopg2.extensions.cursor, schema: str, *, create_schema: bool) -> str:
    """Create a table and roll it back; return the server's error, or an empty text."""
    import psycopg2  # installed with dbt-postgres only

    cursor.execute("begin")
    try:
        if create_schema:
            cursor.execute(f"create schema {quoted(schema)}")
        cursor.execute(f"create table {quoted(schema)}.{_PROBE} as select 1 as id")
    except psycopg2.Error as error:
        return str(error).strip()
    finally:
        cursor.execute("rollback")
    return ""
