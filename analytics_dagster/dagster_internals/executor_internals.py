"""Executes a plan as Dagster's in-process executor does, but with a pool context of the caller.

Reason: no public hook replaces the way in which an executor waits for a pool slot. Dagster's own wait never sleeps (the
pause is `min([0, …])`), and did not react to a signal or to a killed holder within 90 s.
Cost of the public alternative (`dg.in_process_executor`): see `execution/executor.py`.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available, require_parameters

OpenPoolContext = Callable[[Any, Any], Any]
"""Returns the pool context of a run, which has the methods in `POOL_CONTEXT` and `close`.

It is called with Dagster's job context and execution plan.
"""

POOL_CONTEXT = {
    "claim": ("self", "concurrency_key", "step_key", "step_priority"),
    "free_step": ("self", "step_key"),
    "has_pending_claims": ("self",),
    "interval_to_next_pending_claim_check": ("self",),
    "pending_claim_steps": ("self",),
}
"""The methods that Dagster calls on a pool context, and their parameters."""


def is_available() -> bool:
    """Return whether `execute_in_process` can be used; if not, use `dg.in_process_executor`."""
    found = available(
        "dagster._core.execution.plan.instance_concurrency_context.InstanceConcurrencyContext and five more",
        _probe,
        "jobs use Dagster's in_process_executor, which uses a CPU while it waits for a pool",
    )
    return found is not None


def _probe() -> bool:
    from dagster._core.errors import raise_execution_interrupts
    from dagster._core.events import EngineEventData
    from dagster._core.execution.api import ExecuteRunWithPlanIterable
    from dagster._core.execution.context_creation_job import PlanExecutionContextManager
    from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

    require_parameters(raise_execution_interrupts)
    require_parameters(EngineEventData.in_process, "pid", "step_keys_to_execute")
    require_parameters(
        ExecuteRunWithPlanIterable.__init__, "self", "execution_plan", "iterator", "execution_context_manager"
    )
    require_parameters(inner_plan_execution_iterator, "job_context", "execution_plan", "instance_concurrency_context")
    missing = set(_CONTEXT_PARAMETERS) - set(inspect.signature(PlanExecutionContextManager.__init__).parameters)
    methods = inspect.getmembers(InstanceConcurrencyContext, inspect.isfunction)
    found = {name: tuple(inspect.signature(method).parameters) for name, method in methods if not name.startswith("_")}
    # Only the context itself asks for a pool's limit.
    found.pop("get_pool_info", None)
    if missing or found != POOL_CONTEXT:
        raise TypeError(f"PlanExecutionContextManager takes no {missing}; the context has {found}")
    return True


_CONTEXT_PARAMETERS = (
    *("job", "retry_mode", "execution_plan", "run_config", "dagster_run", "instance", "raise_on_error"),
    *("output_capture", "step_dependency_config"),
)


def execute_in_process(
    plan_context: Any, execution_plan: Any, step_dependency_config: Any, open_pool_context: OpenPoolContext
) -> Iterator[dg.DagsterEvent]:
    """Execute the steps of a plan one after the other in this process, and yield their events."""
    from dagster._core.events import EngineEventData
    from dagster._core.execution.api import ExecuteRunWithPlanIterable
    from dagster._core.execution.context_creation_job import PlanExecutionContextManager
    from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator

    def execute_steps(job_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        with closing(open_pool_context(job_context, execution_plan)) as pool_context:
            yield from inner_plan_execution_iterator(job_context, execution_plan, pool_context)

    yield dg.DagsterEvent.engine_event(
        plan_context,
        f"Executing steps in process (pid: {os.getpid()})",
        event_specific_data=EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
    )
    yield from ExecuteRunWithPlanIterable(
        execution_plan=execution_plan,
        iterator=execute_steps,
        execution_context_manager=PlanExecutionContextManager(
            job=plan_context.job,
            retry_mode=plan_context.retry_mode,
            execution_plan=execution_plan,
            run_config=plan_context.run_config,
            dagster_run=plan_context.dagster_run,
            instance=plan_context.instance,
            raise_on_error=plan_context.raise_on_error,
            output_capture=plan_context.output_capture,
            step_dependency_config=step_dependency_config,
        ),
    )


def sleep_until_interrupted(seconds: float) -> None:
    """Sleep. Raise `dg.DagsterExecutionInterruptedError` at once on a signal, which Dagster holds back elsewhere."""
    from dagster._core.errors import raise_execution_interrupts

    with raise_execution_interrupts():
        time.sleep(seconds)
