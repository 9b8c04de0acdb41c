"""Builds dbt's command lines and the selection file of a build (pure functions)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import FullRefresh, ScheduleGroup
from analytics_dagster.project.graph import Graph

SELECTION_FILE = "run_results.json"
"""The name of the results that dbt reads in a state folder."""


@dataclass(frozen=True)
class Build:
    """One `dbt build` of exactly these unique ids; dbt's own selection adds none."""

    unique_ids: frozenset[str]
    full_refresh: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """The options of one run, from the launchpad or the command line."""

    full_refresh: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


def make_build(
    unique_ids: Iterable[str], group: ScheduleGroup, options: RunOptions, location_variables: Mapping[str, Any]
) -> Build:
    """Return the build of these ids in a run of a schedule group.

    Vars of the run override those of the group, which override those of the location. Raises `ScheduleGroupError` if
    the run asks for a full refresh that the group forbids.
    """
    if options.full_refresh and group.full_refresh is FullRefresh.NEVER:
        raise ScheduleGroupError(
            f"The schedule group {group.name} forbids a full refresh (`full_refresh: never`): nothing was run.",
            remedy="Run it without a full refresh, or change `full_refresh` in the schedule groups file.",
        )
    return Build(
        frozenset(unique_ids),
        full_refresh=options.full_refresh or group.full_refresh is FullRefresh.ALWAYS,
        variables={**location_variables, **group.variables, **options.variables},
    )


def build_arguments(build: Build, selection_dir: str) -> Sequence[str]:
    """Return dbt's arguments for a build; ``selection_dir`` holds its selection file.

    dbt's `result:` method reads the ids from the file, with one look-up per node. A list of ids on the command line
    costs nodes times ids, and its length is limited. Source: dbt's documentation of node selection methods (`result`).
    """
    return [
        "build",
        "--no-use-colors",
        *("--select", "result:success", "--state", selection_dir),
        # The plan selects the tests, not dbt.
        *("--indirect-selection", "empty"),
        *(["--full-refresh"] if build.full_refresh else []),
        *variable_arguments(build.variables),
    ]


def docs_arguments(variables: Mapping[str, Any]) -> Sequence[str]:
    """Return dbt's arguments for the documentation of the whole project as one static page."""
    return [
        *("docs", "generate", "--static", "--no-use-colors"),
        # Without a selection dbt takes the project's default YAML selector. `*` does not match sources.
        *("--select", "*", "source:*"),
        # Tests are on the page anyway. Compiling them too would take a quarter of the time.
        *("--exclude", "resource_type:test", "resource_type:unit_test"),
        *variable_arguments(variables),
    ]


def variable_arguments(variables: Mapping[str, Any]) -> Sequence[str]:
    """Return dbt's arguments for vars."""
    return ["--vars", json.dumps(dict(variables), sort_keys=True)] if variables else []


def with_tested_models(unique_ids: Collection[str], graph: Graph) -> frozenset[str]:
    """Return the ids and the ephemeral models that their unit tests test.

    dbt runs a unit test only if its model is selected. An ephemeral model is no asset, so nothing else selects it.
    """
    units = graph.unit_tests.keys() & set(unique_ids)
    models = {model for unit in units for model in graph.unit_tests[unit]["depends_on"]["nodes"]}
    return frozenset(unique_ids) | (models & graph.ephemeral)


def selection_content(unique_ids: Iterable[str]) -> Mapping[str, Any]:
    """Return the content of the selection file: a successful result for each id, in dbt's `run_results.json` format."""
    return {
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
        "results": [{**_SUCCESS, "unique_id": unique_id} for unique_id in sorted(unique_ids)],
        "elapsed_time": 0.0,
        "args": {},
    }


_SUCCESS: Mapping[str, Any] = {
    "status": "success",
    "thread_id": "",
    "execution_time": 0.0,
    "timing": [],
    "adapter_response": {},
    **dict.fromkeys(("message", "failures", "compiled", "compiled_code", "relation_name")),
}
"""A successful result without its node; dbt requires all of these fields."""
