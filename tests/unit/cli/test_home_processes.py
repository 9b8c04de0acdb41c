"""One daemon serves a Dagster home: another one is refused, and what a killed `dev` left is ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from analytics_dagster.cli import home_processes as tested
from analytics_dagster.cli.home_processes import LEADER, HomeProcess, claim_home, home_processes, require_free_port
from analytics_dagster.errors import HomeError
from analytics_dagster.process_identity import Process

pytestmark = pytest.mark.slow

SLEEP = "import time; print(flush=True); time.sleep(300)"
DEAF = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"


@dataclass
class Starter:
    """Starts processes in a home, and kills them after the test."""

    home: Path
    stack: ExitStack

    def start(
        self, *arguments: str, leader: Process | None = None, home: Path | None = None, code: str = SLEEP
    ) -> subprocess.Popen[bytes]:
        """Start a process with these arguments, as the `dev` ``leader`` would."""
        environment = {**os.environ, "DAGSTER_HOME": str(home or self.home)}
        if leader:
            environment[LEADER] = leader.to_text()
        command = [sys.executable, "-S", "-c", code, *arguments]
        # Its end closes the pipe and waits for it.
        process = self.stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
        self.stack.callback(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        return process


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    with ExitStack() as stack:
        yield Starter(tmp_path, stack)


@pytest.fixture
def ended() -> Process:
    with subprocess.Popen([sys.executable, "-S", "-c", SLEEP]) as process:
        found = Process.of(process.pid)
        assert found is not None
        process.kill()
    return found


def of(process: subprocess.Popen[bytes]) -> Process:
    found = Process.of(process.pid)
    assert found is not None
    return found


def test_processes_are_found_by_their_home_and_the_dev_that_started_them(starter: Starter, tmp_path: Path) -> None:
    leader = Process.current()
    ours = starter.start("-m", "dagster._daemon", "run", leader=leader)
    starter.start("-m", "dagster._daemon", "run", home=tmp_path / "another")
    [found] = home_processes(tmp_path)
    assert found.process.pid == ours.pid
    assert found.leader is not None
    assert found.leader.to_text() == leader.to_text()
    assert found.runs_schedules
    assert not found.is_left_over


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/venv/bin/python -m dagster._daemon run --log-level info", True),
        ("/venv/bin/python /venv/bin/dagster-daemon run", True),
        ("/venv/bin/python -m dagster dev --workspace w.yaml", True),
        ("/venv/bin/python3 /venv/bin/dagster dev -m my.module", True),
        ("dagster dev", True),
        ("/venv/bin/python -m dagster_webserver --port 3000", False),
        ("/venv/bin/python -m dagster api grpc --location-name dev", False),
        ("/venv/bin/python -m dagster code-server start", False),
        ("/venv/bin/python /venv/bin/analytics-dagster build", False),
        ("vim dagster-daemons.md", False),
        ("bash", False),
    ],
)
def test_daemons_and_what_starts_them_run_schedules(command: str, *, expected: bool) -> None:
    assert HomeProcess(Process.current(), command, None).runs_schedules is expected


def test_what_a_killed_dev_left_is_ended_and_nothing_else(
    starter: Starter, tmp_path: Path, ended: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev_process").write_text(ended.to_text())
    left = [
        starter.start("-m", "dagster._daemon", "run", leader=ended),
        starter.start("-m", "dagster_webserver", leader=ended),
        starter.start("api", "grpc", leader=ended, code=DEAF),
    ]
    others = [
        starter.start("-m", "dagster_webserver"),
        starter.start("-m", "dagster._daemon", "run", leader=ended, home=tmp_path / "another"),
    ]
    monkeypatch.setattr(tested, "_STOP_SECONDS", 1.0)
    found = claim_home(tmp_path)
    assert {one.process.pid for one in found} == {process.pid for process in left}
    assert not any(Process.of(process.pid) for process in left)
    assert [process.poll() for process in others] == [None, None]
    assert (tmp_path / "dev_process").read_text() == Process.current().to_text()


@pytest.mark.parametrize("with_leader", [False, True])
def test_a_home_with_a_running_daemon_is_refused(starter: Starter, tmp_path: Path, *, with_leader: bool) -> None:
    leader = of(starter.start()) if with_leader else None
    daemon = starter.start("-m", "dagster._daemon", "run", leader=leader)
    with pytest.raises(HomeError, match="already open") as raised:
        claim_home(tmp_path)
    assert f"runs as process {daemon.pid} on" in raised.value.problem
    assert "DAGSTER_HOME" in raised.value.remedy
    assert daemon.poll() is None
    assert not (tmp_path / "dev_process").exists()


def test_a_web_server_of_its_own_may_run_beside_dev(starter: Starter, tmp_path: Path) -> None:
    starter.start("-m", "dagster_webserver")
    assert claim_home(tmp_path) == []


# --- the port ---------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_an_error_that_names_its_process() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(HomeError, match=f"can't listen on port {port} of 127.0.0.1") as raised:
            require_free_port("127.0.0.1", port)
    assert f"Process {os.getpid()} uses it" in raised.value.problem
    assert "--port" in raised.value.remedy
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 3000), ("192.0.2.1", 3000)])
def test_an_address_that_does_not_exist_is_an_error(host: str, port: int) -> None:
    with pytest.raises(HomeError, match="can't listen on port"):
        require_free_port(host, port)
