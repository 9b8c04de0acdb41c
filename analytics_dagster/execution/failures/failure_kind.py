"""The kinds of failures, and which of them a retry may fix."""

from __future__ import annotations

from enum import Enum


class FailureKind(str, Enum):
    """The kind of a failure."""

    CONNECTION = "connection"
    """The warehouse or another server could not be reached, or closed the connection."""
    TIMEOUT = "timeout"
    """A time limit was exceeded."""
    LOCK = "lock"
    """Another process locked the data, or changed it at the same time."""
    THROTTLING = "throttling"
    """A server was too busy, or limited the number of requests."""
    OUT_OF_MEMORY = "out of memory"
    """There was too little memory. Later there may be more."""
    KILLED = "killed"
    """The process was killed or evicted, or its machine stopped."""
    COMPILATION = "compilation"
    """dbt could not compile the project."""
    SQL = "SQL error"
    """The warehouse rejected the SQL, or the data did not fit it."""
    CONTRACT = "contract"
    """A model does not return what its contract says."""
    DATA_TEST = "data test"
    """A data test found rows."""
    PERMISSION = "permission"
    """A permission is missing, or credentials are invalid."""
    DISK_FULL = "disk full"
    """No disk space is left."""
    CODE = "error"
    """Any other error, of the code or its configuration."""

    @property
    def is_transient(self) -> bool:
        """Whether a retry may succeed without a change."""
        return self in _TRANSIENT

    @property
    def is_shared(self) -> bool:
        """Whether one cause makes everything fail that is running, so that many failures are one incident."""
        return self in _SHARED


_TRANSIENT = frozenset(
    {
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.LOCK,
        FailureKind.THROTTLING,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.KILLED,
    }
)
_SHARED = frozenset({*(_TRANSIENT - {FailureKind.TIMEOUT}), FailureKind.DISK_FULL})
