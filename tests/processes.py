"""Processes that execute real runs in one Dagster home, or hold a warehouse file, for as long as a test needs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from analytics_dagster.execution.executor import build_executor
from analytics_dagster.process_identity import process_tags
from analytics_dagster.warehouse import Warehouse

T = TypeVar("T")

ASSETS = {"one": "warehouse", "other": "warehouse", "another": "warehouse", "apart": "elsewhere"}
"""The assets that a run can build, with their pools; each has its own job."""

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(300)")
"""A command that does nothing for longer than any test."""

# The fork server has Dagster imported: a process starts in milliseconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class RunTask:
    """The run that a process executes; ``launched_here`` adds the tags of a run that its own process created."""

    home: Path
    run_id: str
    asset: str
    writers: int = 1
    launched_here: bool = True


def execute_task(task: RunTask) -> None:
    """Execute one run of one step, which ends when the file `RUN_ID.go` exists."""

    def step(name: str, pool: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, pool=pool)
        def make() -> None:
            (task.home / f"{task.run_id}.in").touch()
            while not (task.home / f"{task.run_id}.go").exists():
                time.sleep(0.02)

        return make

    definitions = dg.Definitions(
        [step(name, pool) for name, pool in ASSETS.items()],
        jobs=[dg.define_asset_job(f"job_of_{name}", name) for name in ASSETS],
        executor=build_executor(writers=task.writers),
    )
    job = definitions.resolve_job_def(f"job_of_{task.asset}")
    with dg.DagsterInstance.from_config(str(task.home)) as instance:
        tags = process_tags(task.run_id) if task.launched_here else {}
        run = instance.create_run_for_job(job, run_id=task.run_id, tags=tags)
        execute_run(InMemoryJob(job), run, instance)


@dataclass(frozen=True)
class RunProcess:
    """A process that executes one run."""

    task: RunTask
    process: BaseProcess
    instance: dg.DagsterInstance

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.task.run_id

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def is_in_step(self) -> bool:
        """Whether the step has started."""
        return (self.task.home / f"{self.run_id}.in").exists()

    @property
    def messages(self) -> list[str]:
        """The log messages of the run, without Dagster's own events."""
        return [entry.user_message for entry in self.instance.all_logs(self.run_id) if entry.dagster_event is None]

    @property
    def status(self) -> dg.DagsterRunStatus:
        """The status of the run."""
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run.status

    def wait_until_in_step(self) -> None:
        """Wait until the step has started."""
        wait_for("the step has started", lambda: self.is_in_step)

    def wait_until_queued(self) -> None:
        """Wait until the run logs that it waits for a slot."""
        wait_for("the run logs that it waits", lambda: any("waits for" in message for message in self.messages))
        assert not self.is_in_step

    def finish(self) -> None:
        """Let the step end, and wait until the process has exited with 0."""
        (self.task.home / f"{self.run_id}.go").touch()
        self.join()
        assert self.process.exitcode == 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def join(self) -> None:
        """Wait until the process has exited."""
        self.process.join(60)
        assert self.process.exitcode is not None


@dataclass(frozen=True)
class DagsterHome:
    """A Dagster home without pool limits, as plain `dagster dev` creates it, and the processes of its runs."""

    home: Path
    instance: dg.DagsterInstance
    processes: list[RunProcess] = field(default_factory=list)

    def start(self, asset: str, *, writers: int = 1, launched_here: bool = True) -> RunProcess:
        """Start a process that executes a run of an asset's job."""
        run_id = f"{len(self.processes) + 1:08d}-0000-4000-8000-000000000000"
        task = RunTask(self.home, run_id, asset, writers, launched_here)
        process = _FORKS.Process(target=execute_task, args=(task,))
        process.start()
        self.processes.append(RunProcess(task, process, self.instance))
        return self.processes[-1]

    def holders_and_queue(self, key: str) -> tuple[set[str], set[str]]:
        """Return the ids of the runs that hold a slot of a concurrency key, and of those registered in its queue.

        A run that holds a slot is still registered in the queue.
        """
        info = self.instance.event_log_storage.get_concurrency_info(key)
        return {slot.run_id for slot in info.claimed_slots}, {step.run_id for step in info.pending_steps}

    def limits(self) -> dict[str, int]:
        """Return the limit of each concurrency key."""
        return {pool.name: pool.limit for pool in self.instance.event_log_storage.get_pool_limits()}


@contextmanager
def open_dagster_home(folder: Path) -> Iterator[DagsterHome]:
    """Create a Dagster home in a folder; kill all processes of its runs at the end."""
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance, ExitStack() as stack:
        home = DagsterHome(folder, instance)

        def close() -> None:
            for one in home.processes:
                one.process.kill()
                one.process.join(60)

        stack.callback(close)
        yield home


def wait_for(what: str, found: Callable[[], T], seconds: float = 60) -> T:
    """Return the first true value of a function; raise an `AssertionError` that names the condition on a timeout."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s until {what}")


@dataclass(frozen=True)
class WarehouseHolder:
    """A process that holds a warehouse file, or waits for it."""

    process: BaseProcess
    connection: Connection

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process.pid is not None
        return self.process.pid

    def receive(self) -> Any:
        """Return its next message: `started`, the process id of its child if it has one, or `in`."""
        assert self.connection.poll(60)
        return self.connection.recv()

    def release(self) -> None:
        """Let the process release the file and exit."""
        self.connection.send("go")

    def kill(self) -> None:
        """Kill the process, and wait until it has exited."""
        self.process.kill()
        self.process.join(60)


@contextmanager
def start_holder(path: Path, *, with_child: bool = False) -> Iterator[WarehouseHolder]:
    """Start a process that locks a DuckDB file; kill it at the end."""
    ours, its = _FORKS.Pipe()
    process = _FORKS.Process(target=_hold, args=(path, with_child, its))
    process.start()
    holder = WarehouseHolder(process, ours)
    try:
        assert holder.receive() == "started"
        yield holder
    finally:
        holder.kill()


def _hold(path: Path, with_child: bool, connection: Connection) -> None:  # noqa: FBT001 - a process gets positional arguments
    warehouse = Warehouse(adapter="duckdb", path=str(path), lock_timeout=1.0)
    connection.send("started")
    with warehouse.exclusively() as hold:
        if with_child:
            child = subprocess.Popen(SLEEP)
            hold.record_child(child.pid)
            connection.send(child.pid)
        connection.send("in")
        connection.recv()
