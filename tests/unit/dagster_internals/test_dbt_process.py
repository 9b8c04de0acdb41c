"""The names of dbt that the worker uses exist, and without them it does what the public alternative allows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dbt import deprecations, plugins
from dbt.adapters import factory
from dbt_common.events import event_manager_client
from dbt_common.events.event_manager import EventManager

from analytics_dagster.dagster_internals import dbt_process
from analytics_dagster.dagster_internals.guard import NO_INTERNALS

pytestmark = pytest.mark.slow


@pytest.fixture
def _no_internals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")


@pytest.fixture
def _internals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_INTERNALS, raising=False)


class Logger(SimpleNamespace):
    """A logger of dbt, of a level."""

    def __init__(self, level: str) -> None:
        super().__init__(level=level, filter=lambda _message: True, scrubber=str)

    def logs(self, level: str) -> bool:
        """Return whether a message of a level passes the filter."""
        return bool(self.filter(SimpleNamespace(info=SimpleNamespace(level=level))))


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> tuple[Logger, Logger]:
    made = Logger("info"), Logger("debug")
    manager = EventManager()
    manager.loggers = list(made)  # type: ignore[arg-type] # stand-ins
    monkeypatch.setattr(event_manager_client, "_EVENT_MANAGER", manager)
    return made


# --- early parse --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_internals")
def test_dbt_can_parse_early() -> None:
    assert dbt_process.can_parse_early()


@pytest.mark.usefixtures("_internals")
@pytest.mark.parametrize(("module", "name"), [(deprecations, "reset_deprecations"), (plugins, "PLUGIN_MANAGER")])
def test_without_a_name_dbt_does_not_parse_early(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, name)
    assert not dbt_process.can_parse_early()


@pytest.mark.usefixtures("_no_internals")
def test_without_internals_dbt_does_not_parse_early() -> None:
    assert not dbt_process.can_parse_early()


@pytest.mark.parametrize(
    ("manager", "usable"),
    [(None, False), (SimpleNamespace(hooks={"get_nodes": []}), False), (SimpleNamespace(hooks={}), True)],
)
def test_a_manifest_is_usable_without_plugins_and_deprecations_are_logged_again(
    manager: object, *, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "PLUGIN_MANAGER", manager)
    deprecations.active_deprecations["old"] += 1
    assert dbt_process.after_early_parse() is usable
    assert not deprecations.active_deprecations


# --- adapter ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_internals")
@pytest.mark.parametrize(
    ("adapters", "expected"), [({}, None), ({"duckdb": "one"}, "one"), ({"duckdb": "one", "postgres": "two"}, None)]
)
def test_the_only_adapter_of_the_process_is_the_one_in_use(
    adapters: dict[str, Any], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory.FACTORY, "adapters", adapters)
    assert dbt_process.adapter_in_use() == expected


@pytest.mark.usefixtures("_no_internals")
def test_without_internals_there_is_no_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory.FACTORY, "adapters", {"duckdb": "one"})
    assert dbt_process.adapter_in_use() is None


# --- log lines ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_internals")
def test_a_logger_above_debug_formats_no_debug_lines(
    loggers: tuple[Logger, Logger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_KEY", "hush3000")
    dbt_process.skip_hidden_log_lines()
    logged = [[logger.logs(level) for level in ("debug", "test", "info", "error")] for logger in loggers]
    assert logged == [[False, False, True, True], [True, True, True, True]]
    assert [logger.scrubber("the key is hush3000") for logger in loggers] == ["the key is *****"] * 2


@pytest.mark.usefixtures("_no_internals")
def test_without_internals_every_line_is_formatted(loggers: tuple[Logger, Logger]) -> None:
    dbt_process.skip_hidden_log_lines()
    assert all(logger.logs("debug") for logger in loggers)
