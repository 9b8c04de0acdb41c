"""`analytics-dagster dev`: one per home, also after it was killed, and an error at once if its port is in use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from analytics_dagster.cli.home_processes import home_processes
from tests.conftest import COMMAND
from tests.integration.test_order import write_project
from tests.integration.ui import free_port, opened
from tests.processes import wait_for

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.thorough]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return write_project(tmp_path)


def environment_of(library: Library) -> Mapping[str, str]:
    return {**os.environ, **library.environment}


def run_dev(library: Library, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "dev", "--port", str(port)],
        env=environment_of(library),
        cwd=library.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_next_dev_ends_what_a_killed_one_left(library: Library) -> None:
    home, log, port = library.folder / "home", library.folder / "dev.log", free_port()
    command: list[str | Path] = [COMMAND, "dev", "--port", str(port)]
    environment = environment_of(library)
    with opened(command, port=port, environment=environment, folder=library.folder, log=log) as first:
        left = psutil.Process(first.process.pid).children(recursive=True)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        time.sleep(2)
        assert sum(one.runs_schedules for one in home_processes(home)) == 1, "its daemon goes on"
    with opened(command, port=port, environment=environment, folder=library.folder, log=log) as second:
        # Until then the web server of the first one answers.
        wait_for("the second starts", lambda: "Ended the processes that a killed `dev` had left" in log.read_text())
        second.wait_until_loaded()
        assert not [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        # `dagster dev` and its daemon.
        assert sum(one.runs_schedules for one in home_processes(home)) == 2
        refused = run_dev(library, free_port())
        assert refused.returncode == 2
        assert f"Dagster's home {home} is already open" in refused.stderr
    wait_for("nothing is left", lambda: not list(home_processes(home)), 60)


def test_a_port_in_use_is_refused_before_anything_starts(library: Library) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        refused = run_dev(library, server.getsockname()[1])
    assert refused.returncode == 2
    assert f"Process {os.getpid()} uses it" in refused.stderr
    assert "--port" in refused.stderr
    assert not (library.project / "target" / "manifest.json").exists()
    assert not list(home_processes(library.folder / "home"))
