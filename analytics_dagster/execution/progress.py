"""How far a dbt build is, in the log of its run."""

from __future__ import annotations

import time

import dagster as dg

from analytics_dagster.execution.events import BUILT, NodeResult

_SECONDS_BETWEEN_LINES = 2.0
_GOOD = {*BUILT, "pass", "skipped"}


class Progress:
    """Says in the log how far dbt is: every failure at once, the rest at most every other second."""

    def __init__(self, context: dg.OpExecutionContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._next = 0.0

    def see(self, result: NodeResult) -> None:
        """Take note of how a node or test came out."""
        self._done += 1
        line = f"{self._done} of {self._total}: {result.name} {result.status}"
        if result.status not in _GOOD:
            self._context.log.warning(line)
        elif time.monotonic() >= self._next or self._done == self._total:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._context.log.info(line)
