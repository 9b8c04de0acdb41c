"""The failure classes that tests produce on DuckDB, and their outcomes; docs/alerts.md has them as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analytics_dagster.execution.failures.classification import FailureKind


@dataclass(frozen=True)
class FailureClass:
    """A schedule group of three models (``name_before``, ``name``, ``name_after``), and how the second one fails.

    ``again`` are the models that the retry runs, ``alerted`` the channels that are notified.
    """

    name: str
    kind: FailureKind
    produced: str
    sql: str
    properties: str = ""
    rebuilt: tuple[str, ...] = ()
    alerted: tuple[str, ...] = ()

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """The row of the table."""
        rebuilt = ", ".join(f"`{name}`" for name in self.rebuilt)
        return (
            self.kind.value,
            self.produced,
            "yes, and the retry succeeded" if self.rebuilt else "no",
            rebuilt or "nothing",
            ", ".join(self.alerted) or "nobody",
        )


CLASSES = (
    FailureClass(
        "sql",
        FailureKind.SQL,
        "a model selects a column that does not exist",
        "select no_such_column from {{ ref('sql_before') }}",
        "config: {meta: {owner: 'team:finance'}}",
        alerted=("finance",),
    ),
    FailureClass(
        "data_test",
        FailureKind.DATA_TEST,
        "a `not_null` test finds a row",
        "select null as id from {{ ref('data_test_before') }}",
        "columns: [{name: id, data_tests: [not_null]}]",
        alerted=("data",),
    ),
    FailureClass(
        "contract",
        FailureKind.CONTRACT,
        "a model with an enforced contract returns a number instead of a text; it has the tag `critical`",
        "select 1 as id from {{ ref('contract_before') }}",
        "config: {contract: {enforced: true}, tags: [critical]}, columns: [{name: id, data_type: varchar}]",
        alerted=("data", "on_call"),
    ),
    FailureClass(
        "permission",
        FailureKind.PERMISSION,
        "a model reads a file without permission (mode 000)",
        "select * from read_csv('FOLDER/secret.csv'), {{ ref('permission_before') }}",
        alerted=("data",),
    ),
    FailureClass(
        "lock",
        FailureKind.LOCK,
        "another process keeps the DuckDB file open for longer than `ANALYTICS_WAREHOUSE_LOCK_TIMEOUT`",
        "select * from {{ ref('lock_before') }}",
        rebuilt=("lock_before", "lock", "lock_after"),
    ),
    FailureClass(
        "killed",
        FailureKind.KILLED,
        "the dbt process is killed (SIGKILL) during the model",
        "select count(*) as n from range((select case when count(*) > 0 then 100000000000 else 1 end "
        "from glob('FOLDER/killed'))) as numbers(n), {{ ref('killed_before') }}",
        rebuilt=("killed", "killed_after"),
    ),
    FailureClass(
        "memory",
        FailureKind.OUT_OF_MEMORY,
        "a model needs more than DuckDB's `memory_limit`",
        "{{ config(pre_hook=[\"set memory_limit = '50MB'\", \"set temp_directory = ''\"]) }} "
        "select count(*) as n from (select distinct n from range((select case when count(*) > 0 then 30000000 "
        "else 1 end from glob('FOLDER/memory'))) as numbers(n)), {{ ref('memory_before') }}",
        rebuilt=("memory", "memory_after"),
    ),
)


def project_files(folder: str) -> Mapping[str, str]:
    """Return the files of a dbt project with all classes; those with a file in ``folder`` fail while it exists."""
    files = {
        "dbt_project.yml": "name: faults\nversion: '1.0'\nprofile: faults\nflags: {send_anonymous_usage_stats: false}\n"
        "models: {+materialized: table}\n",
        "profiles/profiles.yml": "faults: {target: laptop, outputs: {laptop: {type: duckdb, path: faults.duckdb}}}\n",
        "schedule_groups.yaml": "groups:\n"
        + "".join(
            f"  - {{name: {one.name}, select: 'path:models/{one.name}', retries: 1, retry_delay: 0}}\n"
            for one in CLASSES
        ),
        "alerts.yaml": ROUTES,
    }
    for one in CLASSES:
        path = f"models/{one.name}/{one.name}"
        files[f"{path}_before.sql"] = "select 1 as one"
        files[f"{path}.sql"] = one.sql
        files[f"{path}_after.sql"] = "select * from {{ ref('NAME') }}".replace("NAME", one.name)
        properties = f", {one.properties}" if one.properties else ""
        files[f"{path}.yml"] = f"models: [{{name: {one.name}{properties}}}]\n"
    return {name: content.replace("FOLDER", folder) for name, content in files.items()}


ROUTES = """
channels:
  finance: {slack_webhook: finance}
  data: {slack_webhook: default}
  on_call: {pagerduty: default}
rules:
  - {name: finance, when: {owner: "team:finance"}, to: finance}
  - {name: all the rest, to: [data, on_call]}
"""
