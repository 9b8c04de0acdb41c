"""The guard of the executor: it compares the methods that Dagster calls on a pool context with ours."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from dagster._core.execution.plan.active import ActiveExecution

from analytics_dagster.dagster_internals import executor_internals, guard
from analytics_dagster.dagster_internals.executor_internals import POOL_CONTEXT, is_available
from analytics_dagster.execution.executor import PoolContext


def test_the_private_names_are_available() -> None:
    assert is_available()


def test_a_pool_context_has_the_methods_of_dagsters() -> None:
    methods = inspect.getmembers(PoolContext, inspect.isfunction)
    found = {name: tuple(inspect.signature(method).parameters) for name, method in methods if not name.startswith("_")}
    assert found == {**POOL_CONTEXT, "close": ("self",)}


def test_dagsters_engine_asks_only_the_context_for_slots() -> None:
    source = Path(inspect.getfile(ActiveExecution)).read_text(encoding="utf-8")
    assert "get_pool_info" not in source
    assert "self._instance_concurrency_context.claim(" in source


@pytest.mark.parametrize(
    "changed", [{"claim": ("self", "pool")}, {"another": ("self",)}], ids=["another parameter", "a new method"]
)
def test_a_changed_pool_context_is_not_used(
    changed: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "_logged", set())
    monkeypatch.setattr(executor_internals, "POOL_CONTEXT", {**POOL_CONTEXT, **changed})
    assert not is_available()
    assert "jobs use Dagster's in_process_executor" in caplog.text
