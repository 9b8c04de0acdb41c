"""Writes a log to the bucket of the instance's compute log manager, which the doctor uses to check the bucket.

Reason: Dagster reports a failed upload only in the log that is then lost, and has no public name for the manager.
Cost of the public alternative (no check): no CPU time; a bucket that rejects logs is noticed when a log is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available, require_member


@dataclass(frozen=True)
class CloudLogs:
    """The bucket that holds the logs of runs; ``name`` is the class of its manager."""

    name: str
    write: Callable[[list[str], str], None]
    delete: Callable[[list[str]], None]


def cloud_logs(instance: dg.DagsterInstance) -> CloudLogs | None:
    """Return the bucket that holds the instance's logs; None if the logs are local files, or cannot be checked."""
    names = available("dagster._core.storage.compute_log_manager", _probe, "not checking the bucket of run logs")
    manager: Any = instance.compute_log_manager
    if names is None or not isinstance(manager, names[0]):
        return None
    stderr = names[1].STDERR

    def write(key: list[str], text: str) -> None:
        with manager.open_log_stream(key, stderr) as stream:
            if stream is not None:
                stream.write(text)

    return CloudLogs(type(manager).__name__, write, lambda key: manager.delete_logs(log_key=key))


def _probe() -> tuple[type[Any], Any]:
    from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
    from dagster._core.storage.compute_log_manager import ComputeIOType

    require_member(CloudStorageComputeLogManager, "open_log_stream", "self", "log_key", "io_type")
    require_member(CloudStorageComputeLogManager, "delete_logs", "self", "log_key")
    return CloudStorageComputeLogManager, ComputeIOType
