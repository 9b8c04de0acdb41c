"""Every command and snippet of the documentation is executed or validated by a test; a new one fails here."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import typer
import yaml
from filelock import FileLock

from analytics_dagster.alerting import definitions as alerts
from analytics_dagster.assets.dbt_assets import BuildConfig
from analytics_dagster.automation import after_ingestion, dead_runs, landing_sensor, pending_runs, retry_decision
from analytics_dagster.cli import app
from analytics_dagster.ingestion.tables import _Declaration, landed_tables
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.settings import Settings, variable_name
from scripts.install_helm import FOLDER, install_helm
from tests.documents.covered import BY_HAND, COVERED, GATE, SHOWN
from tests.documents.pages import BLOCKS, INLINE, PAGES, ROOT, Block, shown

COMMANDS = sorted({command for block in BLOCKS if block.language == "sh" for command in block.commands})
MODULE = "tests/documents/test_commands.py"
CHART_VALUES, GROUPS, ROUTES = (
    json.loads((ROOT / path).read_text(encoding="utf-8"))
    for path in (
        "helm/analytics-dagster/values.schema.json",
        "analytics_dagster/planning/groups.schema.json",
        "analytics_dagster/alerting/routes.schema.json",
    )
)
ASSIGNMENT = re.compile(r"^(?:export )?(?=[A-Z])([A-Z0-9_]+)=")
EXTRA = re.compile(r"^pip install 'analytics-dagster\[(\w+)\]'$")


def blocks(language: str) -> list[Any]:
    """Return the blocks of a language, as parameters of a test."""
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == language]


# --- commands -----------------------------------------------------------------------------------------------


def executed() -> set[str]:
    """Return the commands that `test_commands.py` executes."""
    from tests.documents import test_commands  # its import has no side effects

    return {*test_commands.QUICK, *test_commands.SLOW, *test_commands.IN_RUNBOOKS, *test_commands.IN_README}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_executed(command: str) -> None:
    way = (
        ASSIGNMENT.match(command)
        or command in COVERED
        or command.startswith(("helm install ", "helm upgrade "))
        or EXTRA.match(command)
        or command in executed()
    )
    assert way, (
        f"execute `{command}` in tests/documents/test_commands.py, or name its test in tests/documents/covered.py"
    )


def test_every_listed_command_is_on_a_page() -> None:
    assert {*COVERED, *executed()} - {*COMMANDS, *INLINE} == set()


@pytest.mark.parametrize("where", sorted({*COVERED.values(), *SHOWN.values()}))
def test_every_named_test_exists(where: str) -> None:
    if where == GATE or where.startswith(BY_HAND):
        return
    path, _, name = where.partition("::")
    assert name in {node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if hasattr(node, "name")}


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("make ")])
def test_every_make_target_exists(command: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert {word for word in shlex.split(command)[1:] if "=" not in word} <= targets


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("analytics-dagster ")])
def test_our_commands_accept_the_options_on_the_pages(command: str) -> None:
    found, arguments = _our_command(command)
    # An unknown option or a missing argument raises an error.
    found.make_context(found.name, arguments)


@pytest.mark.parametrize("command", sorted(INLINE))
def test_our_commands_in_running_text_exist(command: str) -> None:
    found, arguments = _our_command(command)
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("-")} <= known


def _our_command(typed: str) -> tuple[Any, list[str]]:
    """Return the command and its arguments."""
    arguments = shlex.split(typed.partition(" > ")[0])[1:]
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands") and arguments:
        name, *arguments = arguments
        found = found.commands[name]
    return found, arguments


@pytest.mark.parametrize("command", [one for one in COMMANDS if ASSIGNMENT.match(one)])
def test_every_variable_on_a_page_exists(command: str) -> None:
    known = {variable_name(name) for name in Settings.model_fields}
    profile = (ROOT / "dbt_project" / "profiles.yml").read_text("utf-8")
    named = re.findall(r"(?:^| )([A-Z][A-Z0-9_]*)=", command)
    assert [name for name in named if name.partition("__")[0] not in known and f"'{name}'" not in profile] == []


def test_every_extra_on_a_page_exists() -> None:
    extras = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.optional-dependencies]")[2]
    text = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"analytics-dagster\[(\w+)\]", text))
    assert named <= set(re.findall(r"^(\w+) = \[", extras, flags=re.MULTILINE))


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith(("helm install ", "helm upgrade "))])
def test_helm_commands_render_the_chart(command: str) -> None:
    chosen = shlex.split(command)[2:]
    with FileLock(f"{sys.prefix}/helm.lock"):
        install_helm()
    program = [str(FOLDER / "4" / "helm"), "template", *chosen]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "kind: Deployment" in done.stdout, done.stderr


# --- other snippets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_is_valid(block: Block) -> None:
    content = yaml.safe_load(block.text)
    keys = set(content)
    if "groups" in keys:
        ScheduleGroups.model_validate(content)
        jsonschema.validate(content, GROUPS)
    elif keys & {"channels", "rules"}:
        jsonschema.validate(_with_text_dates(content), ROUTES)
    elif keys == {"sources"}:
        assert landed_tables(_sources(content))
    elif keys == {"models"}:
        assert content in [yaml.safe_load(one.text) for one in BLOCKS if one.page == "docs/quality.md"], (
            "test_commands.py builds only the models of docs/quality.md"
        )
    elif keys == {"ops"}:
        for step in content["ops"].values():
            BuildConfig(**step["config"])
            assert step["config"].keys() <= BuildConfig.model_fields.keys()
    elif all(isinstance(value, dict) and "outputs" in value for value in content.values()):
        assert all(output["type"] for profile in content.values() for output in profile["outputs"].values())
    else:
        jsonschema.validate(content, CHART_VALUES)


def _with_text_dates(content: Any) -> Any:
    """Return the same with dates as text, as in JSON."""
    if isinstance(content, Mapping):
        return {key: _with_text_dates(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_text_dates(value) for value in content]
    return str(content) if isinstance(content, date) else content


def _sources(content: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the sources of a YAML file in the form of dbt's manifest, as far as ingestion reads it."""
    return {
        f"source.page.{source['name']}.{table['name']}": {
            **table,
            "source_name": source["name"],
            "schema": source["schema"],
            "columns": {column["name"]: column for column in table.get("columns", ())},
        }
        for source in content["sources"]
        for table in source["tables"]
    }


@pytest.mark.parametrize("language", sorted({block.language for block in BLOCKS} - {"sh", "yaml", "python"}))
def test_every_other_block_has_a_test(language: str) -> None:
    unseen = [
        str(block)
        for block in BLOCKS
        if block.language == language
        and (block.page, block.section) not in SHOWN
        # test_commands.py compares the output in runbooks.
        and not (block.page == "docs/operations.md" and language == "text")
    ]
    assert unseen == [], "name in tests/documents/covered.py the test that checks these blocks"


# --- comparison of output --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed", "is_shown"),
    [
        ("hourly: run … failed", "hourly: run 1c6e failed", True),
        ("hourly: run … failed", "nightly: run 1c6e failed", False),
        (" orders   62,660  3.92", "x\norders 4 0.01\ny", True),
        (" orders   62,660", "orders none", False),
        ("one\nthree", "one\ntwo\nthree", True),
        ("three\none", "one\ntwo\nthree", False),
    ],
)
def test_output_is_compared_without_numbers_spaces_and_ellipses(text: str, printed: str, *, is_shown: bool) -> None:
    assert shown(text, printed) is is_shown


# --- tables -------------------------------------------------------------------------------------------------


def _first_column(page: str, heading: str) -> set[str]:
    """Return the names in the first column of the table below a line of a page."""
    below = (ROOT / page).read_text(encoding="utf-8").partition(heading)[2].lstrip("\n")
    table = itertools.takewhile(lambda line: line.startswith("|"), below.splitlines())
    return {name for line in table for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_every_sensor_is_documented() -> None:
    sensors = {module.SENSOR for module in (after_ingestion, alerts, dead_runs, landing_sensor, pending_runs)}
    others = {retry_decision.RETRIES_SENSOR, retry_decision.AD_HOC_SENSOR}
    assert _first_column("docs/concepts.md", "## What starts a run") == sensors | others


def test_every_key_of_landing_is_documented() -> None:
    documented = _first_column("docs/ingestion.md", "data_tests: [unique, not_null]\n```\n")
    assert documented - {"landing"} == set(_Declaration.model_fields)
