"""Checks that a PostgreSQL warehouse can be reached and written, with a table that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from analytics_dagster.cli.doctor.result import CheckResult, Clocks
from analytics_dagster.cli.doctor.warehouse import CHECK
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import postgres, quoted

if TYPE_CHECKING:
    import psycopg2.extensions

_PROBE = "analytics_dagster_probe"
_STATEMENT_TIMEOUT = "20s"  # the catalog may be locked


class _Server(NamedTuple):
    """The server, the current user and the target's schema."""

    version: str
    user: str
    database: str
    now: datetime
    is_read_only: bool
    creates_schemas: bool
    has_schema: bool


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
        [row] = cursor.fetchall()
        server = _Server(*row)
        clocks["the warehouse"] = server.now
        yield from _results(target, server, cursor)


def _results(target: Target, server: _Server, cursor: psycopg2.extensions.cursor) -> Iterator[CheckResult]:
    where = f"PostgreSQL {server.version} at {target.credentials.get('host')}, database {server.database}"
    if server.is_read_only:
        remedy = (
            "Use the primary server, not a standby; or run: "
            f"alter role {quoted(server.user)} set default_transaction_read_only = off"
        )
        yield CHECK.error(f"{where}: {server.user} can read but not write.", remedy)
        return
    grant = f"grant create on database {quoted(server.database)} to {quoted(server.user)}"
    if not server.has_schema and not server.creates_schemas:
        message = f"{where}: the schema {target.schema} does not exist, and {server.user} may not create it."
        yield CHECK.error(message, f"As the owner of the database: {grant}")
        return
    refused = _try_to_write(cursor, target.schema, create_schema=not server.has_schema)
    if refused:
        message = f"{where}: {server.user} can't create a table in the schema {target.schema}: {target.redact(refused)}"
        right = f"grant usage, create on schema {quoted(target.schema)} to {quoted(server.user)}"
        yield CHECK.error(message, f"As the owner of the schema: {right}")
        return
    if not server.creates_schemas:
        message = (
            f"{server.user} may not create schemas in the database {server.database}: a build needs existing ones."
        )
        yield CHECK.warning(message, f"As the owner of the database: {grant}")
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
