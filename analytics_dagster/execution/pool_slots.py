"""The slots of Dagster's pools in its storage, claimed by a step such that two never get the same one.

Dagster's own way (1.13, read and tried) gives the one slot of a SQLite home to two processes that ask at the same time
(82 times in 200: SQLite locks no rows, as PostgreSQL does), and leaves a slot unassigned that is freed while another
step is on its way into the line, for as long as nobody else comes by.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock

from analytics_dagster.dagster_internals.runs import executes_all_runs_here


class Slots:
    """The slots of one run."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._run_id = run_id
        # Any: two of the methods used are those of every storage there is, but not of their common base.
        self._storage: Any = instance.event_log_storage

    @property
    def are_counted(self) -> bool:
        """Whether the storage counts slots at all; an ephemeral one does not."""
        return bool(self._storage.supports_global_concurrency_limits)

    def ensure(self, key: str, limit: int) -> None:
        """Give a key a limit, unless it has one."""
        with self._alone():
            if key not in {known.name for known in self._storage.get_pool_limits()}:
                self._storage.set_concurrency_slots(key, limit)

    def is_limited(self, pool: str, otherwise: int | None) -> bool:
        """Return whether a step must claim a slot of the pool; see that its limit is in storage.

        That is the one which was set, or else the instance's default, or else ``otherwise``; None is no limit.
        """
        configuration = self._storage.get_pool_config()
        # By value: the enumeration has no public name.
        if getattr(configuration.pool_granularity, "value", "op") == "run":
            # The run queue enforces the limit, and has started this run.
            return False
        default = configuration.default_pool_limit
        known = {limit.name: limit for limit in self._storage.get_pool_limits()}.get(pool)
        if known is not None and (not known.from_default or known.limit == default):
            return True
        if default is not None:
            with self._alone():
                self._storage.initialize_concurrency_limit_to_default(pool)
            return True
        if otherwise is not None:
            self.ensure(pool, otherwise)
        return otherwise is not None

    def take(self, key: str, step_key: str, priority: int) -> bool:
        """Claim a slot for a step; return whether it has it, now or from before. If not, it stands in the line."""
        with self._alone():
            if self._claim(key, step_key, priority):
                return True
            if not self._storage.has_unassigned_slots(key):
                return False
            # Freed while this step, or one before it, was on its way into the line: nobody was told.
            self._storage.assign_pending_steps([key])
            return self._claim(key, step_key, priority)

    def free(self, step_key: str) -> None:
        """Give back every slot of a step, of whatever key, and its places in the lines."""
        with self._alone():
            self._storage.free_concurrency_slot_for_step(self._run_id, step_key)

    def others(self, key: str, *, waiting: bool) -> dict[str, str]:
        """Return the other runs that have a slot of the key or are next, with their step; or also those that wait."""
        info = self._storage.get_concurrency_info(key)
        found = {slot.run_id: slot.step_key for slot in info.claimed_slots}
        for step in info.pending_steps:
            if waiting or step.assigned_timestamp is not None:
                found.setdefault(step.run_id, step.step_key)
        found.pop(self._run_id, None)
        return found

    def _claim(self, key: str, step_key: str, priority: int) -> bool:
        return bool(self._storage.claim_concurrency_slot(key, self._run_id, step_key, priority).is_claimed)

    def _alone(self) -> AbstractContextManager[object]:
        if executes_all_runs_here(self._instance):
            return FileLock(Path(self._instance.root_directory) / "slots.lock")
        return nullcontext()
