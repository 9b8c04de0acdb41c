"""Uses private names about runs: where they are executed, metadata in their log, outputs without materialization."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available, require_member


def executes_all_runs_here(instance: dg.DagsterInstance) -> bool:
    """Return whether all runs of the instance are executed on this machine: its event log is SQLite, stock or ours.

    Reason: no public name says where an instance's runs are executed. Cost of the public alternative (False): a dead
    run without our process tag stays STARTED until Dagster's run monitoring or a person ends it.
    """
    storage = available(
        "dagster._core.storage.event_log.SqliteEventLogStorage",
        _sqlite_storage,
        "a run that names no process is never marked as dead",
    )
    return storage is not None and isinstance(instance.event_log_storage, storage)


def _sqlite_storage() -> type[Any]:
    from dagster._core.storage.event_log import SqliteEventLogStorage  # brings SQLAlchemy, which no load needs

    return SqliteEventLogStorage


def log_metadata(
    instance: dg.DagsterInstance, run: dg.DagsterRun, message: str, name: str, document: Mapping[str, Any]
) -> None:
    """Write an event with a JSON document as metadata into the log of a run, also of one that has ended.

    Reason: an engine event is the only event with metadata that can be added to a run from outside. Cost of the public
    alternative: the document is part of the message, and programs must find it there.
    """
    engine_event_data = available(
        "dagster._core.events.EngineEventData", _engine_event_data, "the failure report is logged as text"
    )
    if engine_event_data is None:
        instance.report_engine_event(f"{message}\n{json.dumps(document)}", run)
        return
    data = engine_event_data(metadata={name: dg.MetadataValue.json(dict(document))})
    instance.report_engine_event(message, run, data)


def _engine_event_data() -> type[Any]:
    from dagster._core.events import EngineEventData  # no load of the location needs it

    require_member(EngineEventData, "__new__", "cls", "metadata")
    return EngineEventData


def silent_output_metadata() -> Mapping[str, Any] | None:
    """Return the metadata of an output for which Dagster records no materialization; None without the private name.

    Reason: no public output passes on an asset without recording a materialization. Dagster's own source assets use
    this key. Cost of the public alternative: `From failure` in the UI runs a group's whole step again.
    """
    return available(
        "dagster._core.definitions.source_asset.SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
        _silent_output_metadata,
        "`From failure` runs the whole step of a schedule group again",
    )


def _silent_output_metadata() -> Mapping[str, Any]:
    from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

    return {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
