"""Whether what runs print can be kept where dagster.yaml says, if that is a bucket."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
from dagster._core.storage.compute_log_manager import ComputeIOType

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.cli.doctor.storage_locations import within
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_for

CHECK = "run logs"

_LONGEST = 20.0  # seconds
_SETTING = "compute_logs in dagster.yaml"


def check_run_logs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Yield whether a log can be written to the bucket and deleted; nothing where logs are local files.

    Dagster tells an upload that fails in the run's own output alone, which then is nowhere.
    """
    manager = instance.compute_log_manager
    if not isinstance(manager, CloudStorageComputeLogManager):
        return
    key = ["doctor", uuid.uuid4().hex]
    where = type(manager).__name__

    def write() -> None:
        with manager.open_log_stream(key, ComputeIOType.STDERR) as stream:
            if stream is not None:
                stream.write("A log to try whether one can be written; it can be deleted.\n")

    try:
        within(_LONGEST, write)
    except Exception as error:  # noqa: BLE001 - each cloud's client has errors of its own
        said = f"{where} can't write: {cause_of(error, '', {})}"
        yield ill(CHECK, said, remedy_for(error, _SETTING, "the cloud's own variables"))
        return
    try:
        within(_LONGEST, lambda: manager.delete_logs(log_key=key))
    except Exception as error:  # noqa: BLE001 - as above
        said = f"{where} can write, not delete: {cause_of(error, '', {})}"
        yield doubt(CHECK, said, "Give the right to delete, or let a rule of the bucket delete old logs.")
        return
    yield well(CHECK, f"{where}: a log can be written.")
