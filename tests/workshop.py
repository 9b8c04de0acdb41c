"""Processes that execute real runs in one Dagster home, or hold a warehouse, each for as long as a test wants it to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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
from analytics_dagster.processes import process_tags
from analytics_dagster.warehouse import Warehouse

T = TypeVar("T")

ASSETS = {"one": "warehouse", "other": "warehouse", "another": "warehouse", "apart": "elsewhere"}
"""The assets that a worker can make, with their pools; each has a job of its own."""

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(300)")
"""A command that does nothing for long enough."""

# A server that has Dagster imported, from which a process starts in a moment.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Task:
    """What a worker is to do."""

    home: Path
    run_id: str
    asset: str
    writers: int = 1
    exclusive: Mapping[str, str] = field(default_factory=dict)
    made_here: bool = True


def work(task: Task) -> None:
    """Execute one run of one step, which goes on until it is told to end."""

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
        executor=build_executor(task.exclusive, writers=task.writers),
    )
    job = definitions.resolve_job_def(f"job_of_{task.asset}")
    with dg.DagsterInstance.from_config(str(task.home)) as instance:
        tags = process_tags(task.run_id) if task.made_here else {}
        run = instance.create_run_for_job(job, run_id=task.run_id, tags=tags)
        execute_run(InMemoryJob(job), run, instance)


@dataclass(frozen=True)
class Worker:
    """A process at work on a task."""

    task: Task
    process: BaseProcess
    instance: dg.DagsterInstance

    @property
    def run_id(self) -> str:
        """The run that it executes."""
        return self.task.run_id

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def is_in(self) -> bool:
        """Whether it has come into its step."""
        return (self.task.home / f"{self.run_id}.in").exists()

    @property
    def told(self) -> list[str]:
        """What was logged in its run, but for Dagster's own events."""
        return [entry.user_message for entry in self.instance.all_logs(self.run_id) if entry.dagster_event is None]

    @property
    def status(self) -> dg.DagsterRunStatus:
        """How its run stands."""
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run.status

    def get_in(self) -> None:
        """Wait until it is in its step."""
        wait_for("it is in its step", lambda: self.is_in)

    def get_into_line(self) -> None:
        """Wait until it says that it waits."""
        wait_for("it says that it waits", lambda: any("waits for" in message for message in self.told))
        assert not self.is_in

    def let_go(self) -> None:
        """Let the step end, and wait for the process."""
        (self.task.home / f"{self.run_id}.go").touch()
        self.join()
        assert self.process.exitcode == 0

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        os.kill(self.pid, number)

    def join(self) -> None:
        """Wait for the process."""
        self.process.join(60)
        assert self.process.exitcode is not None


@dataclass(frozen=True)
class Workshop:
    """A Dagster home without any limit, as plain `dagster dev` makes it, and the workers in it."""

    home: Path
    instance: dg.DagsterInstance
    workers: list[Worker] = field(default_factory=list)

    def start(
        self, asset: str, *, writers: int = 1, made_here: bool = True, exclusive: Mapping[str, str] | None = None
    ) -> Worker:
        """Start a worker."""
        run_id = f"{len(self.workers) + 1:08d}-0000-4000-8000-000000000000"
        task = Task(self.home, run_id, asset, writers, exclusive or {}, made_here)
        process = _FORKS.Process(target=work, args=(task,))
        process.start()
        self.workers.append(Worker(task, process, self.instance))
        return self.workers[-1]

    def line(self, key: str) -> tuple[set[str], set[str]]:
        """Return the runs that have a slot of a key, and those that stand in its line or have come to its end."""
        info = self.instance.event_log_storage.get_concurrency_info(key)
        return {slot.run_id for slot in info.claimed_slots}, {step.run_id for step in info.pending_steps}

    def limits(self) -> dict[str, int]:
        """Return the limit of each key."""
        return {pool.name: pool.limit for pool in self.instance.event_log_storage.get_pool_limits()}


@contextmanager
def open_workshop(home: Path) -> Iterator[Workshop]:
    """Make a home, and end all that works in it afterwards."""
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance, ExitStack() as stack:
        workshop = Workshop(home, instance)

        def close() -> None:
            for worker in workshop.workers:
                worker.process.kill()
                worker.process.join(60)

        stack.callback(close)
        yield workshop


def wait_for(what: str, found: Callable[[], T], seconds: float = 60) -> T:
    """Return what is found once it is true; an `AssertionError` says what was waited for in vain."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s until {what}")


@dataclass(frozen=True)
class Step:
    """A process that holds a warehouse, or waits for it."""

    process: BaseProcess
    connection: Connection

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self.process.pid is not None
        return self.process.pid

    def hear(self) -> Any:
        """Return the next that it says: `started`, the number of its child if it has one, `in`."""
        assert self.connection.poll(60)
        return self.connection.recv()

    def let_go(self) -> None:
        """Let it give the warehouse back and end."""
        self.connection.send("go")

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.process.kill()
        self.process.join(60)


@contextmanager
def open_step(path: Path, *, with_child: bool = False) -> Iterator[Step]:
    """Start a process that takes a DuckDB file, and kill it afterwards."""
    ours, its = _FORKS.Pipe()
    process = _FORKS.Process(target=_hold, args=(path, with_child, its))
    process.start()
    step = Step(process, ours)
    try:
        assert step.hear() == "started"
        yield step
    finally:
        step.kill()


def _hold(path: Path, with_child: bool, connection: Connection) -> None:  # noqa: FBT001 - what a process is given
    warehouse = Warehouse(adapter="duckdb", path=str(path), lock_timeout=1.0)
    connection.send("started")
    with warehouse.exclusively() as hold:
        if with_child:
            child = subprocess.Popen(SLEEP)
            hold.note_child(child.pid)
            connection.send(child.pid)
        connection.send("in")
        connection.recv()
