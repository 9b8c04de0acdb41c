"""Undocumented names of dbt that the dbt worker uses inside dbt's own process.

The worker loads this module before dbt, so dbt is imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from analytics_dagster.dagster_internals.guard import available, require_parameters


def can_parse_early() -> bool:
    """Return whether the worker can parse before its command is known, and clean up after the parse.

    Reason: dbt's public `dbtRunner` takes the manifest of an earlier parse, but does not reset what that parse changed.
    Cost of the public alternative (dbt parses when it is invoked): the run waits for the parse, 2.4 CPU seconds for the
    bundled project (median of 4 alternating runs).
    """
    name = "dbt.deprecations.reset_deprecations"
    return available(name, _early_parse, "dbt parses the project when it runs") or False


def _early_parse() -> bool:
    from dbt import deprecations, plugins
    from dbt.artifacts.schemas.manifest import ManifestMetadata

    _ = plugins.PLUGIN_MANAGER
    require_parameters(deprecations.reset_deprecations)
    if "invocation_id" not in {field.name for field in fields(ManifestMetadata)}:
        raise AttributeError("ManifestMetadata has no invocation_id")
    return True


def after_early_parse() -> bool:
    """Forget what the parse has changed in dbt's process; return whether its manifest may be used.

    dbt logs each deprecation once per process, and the log of the parse is not shown. A plugin may write files of its
    own whenever dbt parses.
    """
    from dbt import deprecations, plugins

    deprecations.reset_deprecations()  # type: ignore[no-untyped-call]
    manager = plugins.PLUGIN_MANAGER
    return manager is not None and not manager.hooks


def adapter_in_use() -> Any:
    """Return the adapter of the running dbt command; None if it cannot be found.

    Reason: dbt passes no adapter to callbacks, and a second one would need another connection to a locked DuckDB file.
    Cost of the public alternative: rows are counted after the build, through a connection of Dagster's process.
    """
    factory = available("dbt.adapters.factory.FACTORY", _adapter_factory, "rows are counted after dbt has ended")
    if factory is None or len(factory.adapters) != 1:
        return None
    [adapter] = factory.adapters.values()
    return adapter


def _adapter_factory() -> Any:
    from dbt.adapters.factory import FACTORY

    _ = FACTORY.adapters
    return FACTORY


def skip_hidden_log_lines() -> None:
    """Keep dbt from formatting log lines below a logger's level, and from collecting all secrets for every line.

    Reason: dbt formats each debug event for standard output, and then Python's logging drops the line.
    Cost of the public alternative (dbt's own loggers): a build of the bundled project takes 15 % more CPU time (14.2
    against 12.4 s; medians of 6 alternating runs of the worker).
    """
    names = available("dbt_common.events.event_manager_client.get_event_manager", _loggers, "dbt formats every line")
    if names is None:
        return
    loggers, scrubber = names
    for logger in loggers:
        logger.scrubber = scrubber
        if logger.level not in _DEBUG_LEVELS:
            logger.filter = partial(_is_above_debug, logger.filter)


_DEBUG_LEVELS = frozenset({"debug", "test"})


def _loggers() -> tuple[list[Any], Callable[[str], str]]:
    from dbt_common.events.event_manager_client import get_event_manager
    from dbt_common.exceptions.base import env_secrets, scrub_secrets

    require_parameters(scrub_secrets, "msg", "secrets")
    loggers: list[Any] = get_event_manager().loggers
    for logger in loggers:
        _ = logger.scrubber, logger.level, logger.filter
    return loggers, partial(scrub_secrets, secrets=env_secrets())


def _is_above_debug(otherwise: Callable[[Any], bool], message: Any) -> bool:
    return message.info.level not in _DEBUG_LEVELS and bool(otherwise(message))
