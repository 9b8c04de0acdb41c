"""Reads the messages of errors in Dagster's events, whose wording is not part of a public interface.

Reason: a `dg.Failure` is stored with its class name in front, and dagster-dbt's error repeats the whole dbt command.
Cost of the public alternative (the message as stored): no CPU time; a terminal shows about 20 more lines per failure.
"""

from __future__ import annotations

import re
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available

DBT_FAILED = "dbt failed"
"""The message of a failed dbt process whose errors belong to single nodes."""

_FAILURE = f"{dg.Failure.__module__}.{dg.Failure.__qualname__}: "
_DBT_PROCESS = "The dbt CLI process"
# How dbt reports what prevents it from building anything, for example a warehouse that can't be opened.
_GENERAL_ERROR = re.compile(
    r"^Encountered an error:\n(?P<message>.+?)(?=\n\s*\n|\nTraceback|\Z)", re.DOTALL | re.MULTILINE
)


def root_message(error: Any) -> str:
    """Return the message of the first cause of an event's error (`SerializableErrorInfo`); empty without an error.

    The error of a dbt process is shortened to dbt's general error, or to `DBT_FAILED` if single nodes failed.
    """
    while error is not None and error.cause is not None:
        error = error.cause
    message = str(error.message).strip() if error is not None else ""
    if not available("the wording of Dagster's errors", lambda: True, "showing the messages as they are stored"):
        return message
    if _DBT_PROCESS not in message:
        return message.removeprefix(_FAILURE)
    general = _GENERAL_ERROR.search(message)
    return f"{DBT_FAILED}: {general['message'].strip()}" if general else DBT_FAILED
