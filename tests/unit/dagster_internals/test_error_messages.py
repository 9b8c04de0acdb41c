"""The wording of errors that Dagster and dagster-dbt store is still the one that our code reads."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_dbt import DbtCliResource
from dagster_dbt.errors import DagsterDbtCliRuntimeError
from dagster_shared.error import SerializableErrorInfo

from analytics_dagster.dagster_internals.error_messages import DBT_FAILED, root_message
from analytics_dagster.dagster_internals.guard import NO_INTERNALS


def _stored(error: Exception) -> SerializableErrorInfo:
    try:
        raise error
    except type(error):
        return serializable_error_info_from_exc_info(sys.exc_info())


def test_the_message_of_a_failure_has_no_class_name() -> None:
    assert root_message(_stored(dg.Failure("1 of 3 nodes failed"))) == "1 of 3 nodes failed"


def test_the_message_is_that_of_the_first_cause() -> None:
    root = SerializableErrorInfo("ValueError: the cause\n", [], "ValueError")
    assert root_message(SerializableErrorInfo("wrapped", [], "Error", cause=root)) == "ValueError: the cause"
    assert root_message(None) == ""


def test_the_error_of_a_dbt_process_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: empty\nversion: '1'\nprofile: none\n")
    (tmp_path / "profiles.yml").write_text("none: {outputs: {dev: {type: duckdb}}}\n")
    dbt = DbtCliResource(
        project_dir=str(tmp_path), profiles_dir=str(tmp_path), dbt_executable=str(Path(sys.executable).with_name("dbt"))
    )
    with pytest.raises(DagsterDbtCliRuntimeError) as failed:
        dbt.cli(["parse", "--no-such-option"], target_path=tmp_path / "target").wait()
    assert root_message(_stored(failed.value)).startswith(DBT_FAILED)


def test_without_private_names_the_message_is_as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    assert root_message(_stored(dg.Failure("why"))) == "dagster._core.definitions.events.Failure: why"
