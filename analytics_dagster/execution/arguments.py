"""What dbt is called with: pure functions from what is to be built to a command line and a selection."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import FullRefresh, ScheduleGroup
from analytics_dagster.project.graph import Graph

SELECTION_FILE = "run_results.json"
"""The name under which dbt looks for results in a state folder."""


@dataclass(frozen=True)
class Build:
    """One `dbt build`: exactly these unique ids, and nothing that dbt's own selection would add."""

    unique_ids: frozenset[str]
    full_refresh: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """What the launchpad or the command line asks of one run."""

    full_refresh: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


def make_build(
    unique_ids: Iterable[str], group: ScheduleGroup, wish: Wish, location_variables: Mapping[str, Any]
) -> Build:
    """Return the build of these ids in a run of a schedule group.

    The nearer vars win: the wish's over the group's over the location's. Raises `ScheduleGroupError` where a full
    refresh is asked of a group that is never refreshed so.
    """
    if wish.full_refresh and group.full_refresh is FullRefresh.NEVER:
        raise ScheduleGroupError(
            f"The schedule group {group.name} is never rebuilt from scratch (`full_refresh: never`): nothing was run.",
            remedy="Run it without a full refresh; or, if it is meant, change `full_refresh` in the groups' file.",
        )
    return Build(
        frozenset(unique_ids),
        full_refresh=wish.full_refresh or group.full_refresh is FullRefresh.ALWAYS,
        variables={**location_variables, **group.variables, **wish.variables},
    )


def build_arguments(build: Build, selection_dir: str) -> Sequence[str]:
    """Return dbt's arguments for a build whose selection lies in a folder.

    The ids are selected by dbt's `result:` method, which reads them from a file: one look-up a node, whatever
    their number, where a list on the command line costs nodes times ids and has a limit. Source: dbt's
    documentation of node selection methods (`result`).
    """
    return [
        "build",
        "--no-use-colors",
        *("--select", "result:success", "--state", selection_dir),
        # Tests run because the plan says so, never because dbt finds them beside a node.
        *("--indirect-selection", "empty"),
        *(["--full-refresh"] if build.full_refresh else []),
        *(["--vars", json.dumps(dict(build.variables), sort_keys=True)] if build.variables else []),
    ]


def docs_arguments(variables: Mapping[str, Any]) -> Sequence[str]:
    """Return dbt's arguments for the documentation of the whole project, on one page that needs no server."""
    return [
        *("docs", "generate", "--static", "--no-use-colors"),
        # Named, since a project may have a YAML selector that is the default where nothing is; `*` names no source.
        *("--select", "*", "source:*"),
        # All of them are on the page; to compile them too takes a quarter of the time, for what nobody reads there.
        *("--exclude", "resource_type:test", "resource_type:unit_test"),
        *(["--vars", json.dumps(dict(variables), sort_keys=True)] if variables else []),
    ]


def with_tested_models(unique_ids: Collection[str], graph: Graph) -> frozenset[str]:
    """Return the ids with the ephemeral models of the unit tests among them.

    dbt runs a unit test with its model alone, and an ephemeral one, which is no asset, is otherwise never selected.
    """
    units = graph.unit_tests.keys() & set(unique_ids)
    models = {model for unit in units for model in graph.unit_tests[unit]["depends_on"]["nodes"]}
    return frozenset(unique_ids) | (models & graph.ephemeral)


def selection_content(unique_ids: Iterable[str]) -> Mapping[str, Any]:
    """Return the content of the selection's file: results of dbt's own form, one for each id."""
    return {
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
        "results": [
            {
                "status": "success",
                "unique_id": unique_id,
                "timing": [],
                "thread_id": "",
                "execution_time": 0.0,
                "adapter_response": {},
                "message": None,
                "failures": None,
                "compiled": None,
                "compiled_code": None,
                "relation_name": None,
                "batch_results": None,
            }
            for unique_id in sorted(unique_ids)
        ],
        "elapsed_time": 0.0,
        "args": {},
    }
