"""The location's executor: runs steps one by one in the run's process, and waits for pool slots without using CPU.

Dagster's queue with pools of `granularity: run`, and the lock of a DuckDB file, do not replace it. Tried with
`dg.in_process_executor` and a DuckDB file (Dagster 1.13, November 2026):

- Two simultaneous builds of the command line succeed, but their steps overlap: the queue does not count runs that it
  did not start, and only the lock of the file separates them. DuckLake and PostgreSQL have no such lock (not tried).
- Ctrl-C in a build leaves a failed run, here a canceled one.
- With `granularity: op`, a step that waits 20 s uses 14 to 15 CPU seconds, here 0.6 (two alternating pairs). It still
  waited 90 s after its holder was killed, and 90 s after a SIGINT. Here it started and ended within 15 s, or ended
  within 4 s.

A run of three steps that does not wait uses 0.33 CPU seconds, with the stock executor 0.26 (medians of 15 alternating
pairs; the minima are 0.23 and 0.24).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.executor_internals import (
    execute_in_process,
    is_available,
    sleep_until_interrupted,
)
from analytics_dagster.execution.dead_runs import RunOwner, check_liveness, fail_dead_runs
from analytics_dagster.execution.pool_slots import PoolSlots
from analytics_dagster.process_identity import is_executed_here, process_tags
from analytics_dagster.warehouse import POOL

EXCLUSIVE = "one_at_a_time/"
"""The prefix of our own pools: each has one slot, and its name ends with the key of a step."""

_PRIORITY_TAG = "dagster/priority"
_FIRST_PAUSE = 0.5  # seconds, like all below
_LONGEST_PAUSE = 3.0
_LOG_INTERVAL = 30.0
_FIRST_CHECK = 1.0
_CHECK_INTERVAL = 5.0


def build_executor(*, writers: int) -> dg.ExecutorDefinition:
    """Return the executor of the location's jobs.

    ``writers`` is the limit of the warehouse's pool. The first step that claims the pool stores it if the instance has
    no limit. Without Dagster's private names it is Dagster's in-process executor.
    """
    stock: dg.ExecutorDefinition = dg.in_process_executor
    make = stock.executor_creation_fn
    if make is None or not is_available():
        return stock
    return dg.ExecutorDefinition(
        name="in_process_in_turn",
        config_schema=stock.config_schema.as_field(),
        executor_creation_fn=lambda context: _Executor(make(context), writers),
        description="Executes the steps one after the other in the run's process, and waits for the warehouse idly.",
    )


class _Executor(dg.Executor):
    """Runs the steps like the stock executor, with its configuration, but with our `PoolContext`."""

    def __init__(self, stock: dg.Executor, writers: int) -> None:
        self._stock = stock
        self._writers = writers

    @property
    def retries(self) -> Any:
        """How steps that ask for it are retried."""
        return self._stock.retries

    @property
    def step_dependency_config(self) -> Any:
        """Which upstream steps a step waits for."""
        return self._stock.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Tag the run with this process, and execute the plan."""
        instance, run = plan_context.instance, plan_context.dagster_run
        created_here = is_executed_here(run)
        if not created_here:
            instance.add_run_tags(run.run_id, process_tags(run.run_id))
        try:
            yield from execute_in_process(
                plan_context,
                execution_plan,
                self.step_dependency_config,
                lambda job_context, plan: PoolContext(job_context, plan, self._writers),
            )
        except dg.DagsterExecutionInterruptedError:
            # A signal to the process that created the run cancels it. Any other run is canceled by the UI, which marks
            # it first; a signal without that mark is a failure.
            now = instance.get_run_by_id(run.run_id)
            if created_here and (now is None or now.status is not dg.DagsterRunStatus.CANCELING):
                instance.report_run_canceling(run, "Interrupted.")
            raise


@dataclass
class _Wait:
    """A step that waits for a slot of ``key``, and then for one of ``pool``. Times are monotonic seconds."""

    pool: str
    key: str
    pause: float = _FIRST_PAUSE
    next_log: float = 0.0
    next_check: float = field(default_factory=lambda: time.monotonic() + _FIRST_CHECK)


class PoolContext:
    """The pool slots of a run's steps, with the methods of Dagster's `InstanceConcurrencyContext`.

    A step of the warehouse's pool claims a lock of its own, which keeps it from overlapping with itself in another run,
    and then a slot of the pool. The fixed order avoids deadlock. Both are freed when the step ends.
    """

    def __init__(self, job_context: Any, plan: Any, writers: int) -> None:
        self._job_context = job_context
        self._plan = plan
        self._writers = writers
        self._slots = PoolSlots(job_context.instance, job_context.run_id)
        self._waits: dict[str, _Wait] = {}
        self._held: set[str] = set()

    def close(self) -> None:
        """Free the slots of all steps."""
        for step_key in {*self._waits, *self._held}:
            self._slots.free(step_key)

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Claim a slot of the pool for a step; return whether the step may start. If not, it waits."""
        if not self._slots.are_supported:
            return True
        if any(wait.pool == concurrency_key for step, wait in self._waits.items() if step != step_key):
            # Another step of this run already waits for the pool, and steps run one at a time.
            return False
        priority = _priority(self._job_context.dagster_run) + step_priority
        for key in self._keys(concurrency_key, step_key):
            if not self._slots.claim(key, step_key, priority):
                self._waits.setdefault(step_key, _Wait(concurrency_key, key)).key = key
                return False
        self._waits.pop(step_key, None)
        self._held.add(step_key)
        return True

    def free_step(self, step_key: str) -> None:
        """Free the slots of a step."""
        if step_key in self._held:
            self._slots.free(step_key)
            self._held.remove(step_key)

    def has_pending_claims(self) -> bool:
        """Return whether any step waits."""
        return bool(self._waits)

    def pending_claim_steps(self) -> list[str]:
        """Return the steps that wait."""
        return list(self._waits)

    def interval_to_next_pending_claim_check(self) -> float:
        """Wait until the next claim is due, and return 0: Dagster would sleep without listening to signals."""
        for step_key, wait in self._waits.items():
            self._log_holders(step_key, wait)
        pause = min((wait.pause for wait in self._waits.values()), default=0.0)
        sleep_until_interrupted(0.0 if self._fail_dead_holders() else pause)
        for wait in self._waits.values():
            wait.pause = min(wait.pause * 1.5, _LONGEST_PAUSE)
        return 0.0

    def _keys(self, pool: str, step_key: str) -> Iterator[str]:
        """Yield the keys of which a step needs a slot, in the order in which every step claims them."""
        is_warehouse = pool == POOL
        if is_warehouse:
            self._slots.ensure_limit(f"{EXCLUSIVE}{step_key}", 1)
            yield f"{EXCLUSIVE}{step_key}"
        if self._slots.is_limited(pool, self._writers if is_warehouse else None):
            yield pool

    def _log_holders(self, step_key: str, wait: _Wait) -> None:
        """Log at once, and then twice a minute, which steps a step waits for."""
        if time.monotonic() < wait.next_log:
            return
        wait.next_log = time.monotonic() + _LOG_INTERVAL
        log = self._job_context.for_step(self._plan.get_step_by_key(step_key)).log
        log.info(f"{step_key} waits for {' and '.join(self._holders(wait.key)) or f'a slot of {wait.key}'}")

    def _holders(self, key: str) -> Iterator[str]:
        instance = self._job_context.instance
        for run_id, step_key in self._slots.other_runs(key, waiting=False).items():
            run = instance.get_run_by_id(run_id)
            if run is not None:
                status = f"; it is {run.status.value}" if run.is_finished else ""
                reason = check_liveness(instance, run).reason
                yield f"{step_key} of run {run_id[:8]} of {run.job_name} ({reason}{status})"

    def _fail_dead_holders(self) -> bool:
        """Mark dead runs that hold a slot, or wait before this run, as failed; return whether there were any."""
        now = time.monotonic()
        due = [wait for wait in self._waits.values() if now >= wait.next_check]
        for wait in due:
            wait.next_check = now + _CHECK_INTERVAL
        others = {run_id for wait in due for run_id in self._slots.other_runs(wait.key, waiting=True)}
        owner = RunOwner.of(self._job_context.dagster_run)
        dead = fail_dead_runs(self._job_context.instance, owner, others)
        for run in dead:
            self._job_context.log.warning(
                f"run {run.run_id[:8]} of {run.job} is dead: {run.reason}. It was marked as failed; its slot is free."
            )
        return bool(dead)


def _priority(run: dg.DagsterRun) -> int:
    try:
        return int(run.tags.get(_PRIORITY_TAG, "0"))
    except ValueError:
        return 0
