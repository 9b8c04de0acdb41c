"""The location's executor: one step after the other in the run's process, and an idle wait for the warehouse.

It is Dagster's in-process executor with another way to wait for a pool's slot. Dagster's own (1.13, read and tried) is
busy (its pause is `min([0, …])`) and deaf to signals, names nobody, and lasts for ever if the holder was killed. And
Dagster knows no limit by group for the runs that its UI starts for chosen assets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import dagster as dg

# None of these has a public name, and no public hook lets an executor wait in another way. A test names each member
# that is used or overridden, and fails when one is no longer there or is called otherwise.
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from analytics_dagster.execution.dead_runs import check_liveness, fail_dead_runs
from analytics_dagster.execution.pool_slots import Slots
from analytics_dagster.process_identity import is_executed_here, process_tags
from analytics_dagster.warehouse import POOL

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

EXCLUSIVE = "one_at_a_time/"
"""What the key of a slot of our own begins with, after which comes what must not overlap with itself."""

_PRIORITY_TAG = "dagster/priority"
_FIRST_PAUSE = 0.5  # seconds, as all below
_LONGEST_PAUSE = 3.0
_LOG_INTERVAL = 30.0
_LIVENESS_INTERVAL = 5.0


def build_executor(exclusive: Mapping[str, str], *, writers: int) -> dg.ExecutorDefinition:
    """Return the executor of the location's jobs.

    ``exclusive`` says, by step key, what must not overlap with itself; a step of the warehouse's pool that is not
    named must not overlap with itself in another run. ``writers`` is the pool's limit, which the first step that claims
    the pool writes into an instance that has none.
    """
    stock: dg.ExecutorDefinition = dg.in_process_executor
    make = stock.executor_creation_fn
    if make is None:
        raise AssertionError
    return dg.ExecutorDefinition(
        name="in_process_in_turn",
        config_schema=stock.config_schema.as_field(),
        executor_creation_fn=lambda context: _Executor(make(context), exclusive, writers),
        description="Executes the steps one after the other in the run's process, and waits for the warehouse idly.",
    )


class _Executor(dg.Executor):
    """Runs the steps as the stock executor does, whose configuration it has."""

    def __init__(self, stock: dg.Executor, exclusive: Mapping[str, str], writers: int) -> None:
        self._stock = stock
        self._exclusive = exclusive
        self._writers = writers

    @property
    def retries(self) -> RetryMode:
        """How steps that ask for it are retried."""
        return self._stock.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """Which upstream steps a step waits for."""
        return self._stock.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan, and record first that this process does."""
        instance, run = plan_context.instance, plan_context.dagster_run
        made_here = is_executed_here(run)
        if not made_here:
            instance.add_run_tags(run.run_id, process_tags(run.run_id))
        yield dg.DagsterEvent.engine_event(
            plan_context,
            f"Executing steps in process (pid: {os.getpid()})",
            event_specific_data=EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
        )
        try:
            yield from ExecuteRunWithPlanIterable(
                execution_plan=execution_plan,
                iterator=self._execute_steps,
                execution_context_manager=PlanExecutionContextManager(
                    job=plan_context.job,
                    retry_mode=plan_context.retry_mode,
                    execution_plan=execution_plan,
                    run_config=plan_context.run_config,
                    dagster_run=run,
                    instance=instance,
                    raise_on_error=plan_context.raise_on_error,
                    output_capture=plan_context.output_capture,
                    step_dependency_config=self.step_dependency_config,
                ),
            )
        except dg.DagsterExecutionInterruptedError:
            # Whoever interrupts the process that made the run means to cancel it, and there is no one else who could
            # say so; anywhere else the UI says it first, and an interrupt without a word from it is a failure.
            if made_here and _status(instance, run) is not dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceling(run, "Interrupted.")
            raise

    def _execute_steps(
        self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        with PoolContext(job_context, execution_plan, self._exclusive, self._writers) as turn:
            yield from inner_plan_execution_iterator(job_context, execution_plan, turn)


@dataclass
class _Wait:
    """One step's wait: for a slot of which key, on its way to which pool; times are monotonic seconds."""

    pool: str
    key: str
    pause: float = _FIRST_PAUSE
    next_log: float = 0.0
    next_check: float = field(default_factory=lambda: time.monotonic() + 1.0)


class PoolContext(InstanceConcurrencyContext):
    """A step's turn: first claimed is the right not to meet its own like, and then a slot of its pool.

    All claim in this order, and whoever waits for the pool keeps the first slot: nobody waits in a circle. A step that
    ends in whatever way gives both back.
    """

    def __init__(
        self, job_context: PlanExecutionContext, plan: ExecutionPlan, exclusive: Mapping[str, str], writers: int
    ) -> None:
        super().__init__(job_context.instance, job_context.dagster_run)
        self._job_context = job_context
        self._plan = plan
        self._exclusive = exclusive
        self._writers = writers
        self._slots = Slots(job_context.instance, job_context.run_id)
        self._waits: dict[str, _Wait] = {}
        self._held: set[str] = set()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Free the slots of all steps."""
        for step_key in {*self._waits, *self._held}:
            self._slots.free(step_key)

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Claim a slot of the pool for a step; return whether it may start, else it waits."""
        if not self._slots.are_counted:
            return True
        if any(wait.pool == concurrency_key for step, wait in self._waits.items() if step != step_key):
            # This process executes one step at a time: another of its steps is already in the line.
            return False
        priority = _priority(self._job_context.dagster_run) + step_priority
        for key in self._keys(concurrency_key, step_key):
            if not self._slots.take(key, step_key, priority):
                self._waits.setdefault(step_key, _Wait(concurrency_key, key)).key = key
                return False
        self._waits.pop(step_key, None)
        self._held.add(step_key)
        return True

    def free_step(self, step_key: str) -> None:
        """Give back what a step has claimed."""
        if step_key in self._held:
            self._slots.free(step_key)
            self._held.remove(step_key)

    def has_pending_claims(self) -> bool:
        """Return whether a step waits."""
        return bool(self._waits)

    def pending_claim_steps(self) -> list[str]:
        """Return the steps that wait."""
        return list(self._waits)

    def interval_to_next_pending_claim_check(self) -> float:
        """Wait until it is time to look again, and return that no more time is to be waited.

        Dagster would sleep with the signals held back; here they end the wait at once.
        """
        for step_key, wait in self._waits.items():
            self._tell(step_key, wait)
        pause = min((wait.pause for wait in self._waits.values()), default=0.0)
        if self._fail_dead_holders():
            pause = 0.0
        with raise_execution_interrupts():
            time.sleep(pause)
        for wait in self._waits.values():
            wait.pause = min(wait.pause * 1.5, _LONGEST_PAUSE)
        return 0.0

    def _keys(self, pool: str, step_key: str) -> Iterator[str]:
        """Yield the keys of which a step needs a slot, in the order in which all claim them."""
        own = self._exclusive.get(step_key, step_key if pool == POOL else None)
        if own is not None:
            self._slots.ensure(f"{EXCLUSIVE}{own}", 1)
            yield f"{EXCLUSIVE}{own}"
        if self._slots.is_limited(pool, self._writers if pool == POOL else None):
            yield pool

    def _tell(self, step_key: str, wait: _Wait) -> None:
        """Say in the run's log for whom a step waits, at once and then twice a minute."""
        if time.monotonic() < wait.next_log:
            return
        wait.next_log = time.monotonic() + _LOG_INTERVAL
        step = self._plan.get_step_by_key(step_key)
        log = self._job_context.for_step(step).log  # type: ignore[arg-type] # as Dagster itself calls it
        log.info(f"{step_key} waits for {' and '.join(self._holders(wait.key)) or f'a slot of {wait.key}'}")

    def _holders(self, key: str) -> Iterator[str]:
        instance = self._job_context.instance
        for run_id, step_key in self._slots.others(key, waiting=False).items():
            run = instance.get_run_by_id(run_id)
            if run is not None:
                status = f"; it is {run.status.value}" if run.is_finished else ""
                reason = check_liveness(instance, run).reason
                yield f"{step_key} of run {run_id[:8]} of {run.job_name} ({reason}{status})"

    def _fail_dead_holders(self) -> bool:
        """Mark the runs that are in the way and dead as failed; return whether there were any."""
        now = time.monotonic()
        due = [wait for wait in self._waits.values() if now >= wait.next_check]
        for wait in due:
            wait.next_check = now + _LIVENESS_INTERVAL
        others = {run_id for wait in due for run_id in self._slots.others(wait.key, waiting=True)}
        dead = fail_dead_runs(self._job_context.instance, others)
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


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus | None:
    now = instance.get_run_by_id(run.run_id)
    return now.status if now else None
