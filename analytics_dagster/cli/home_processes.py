"""The processes that serve a Dagster home: only one daemon may run its schedules and its queue.

`analytics-dagster dev` becomes `dagster dev`, which starts a web server, a daemon and code servers. If it is killed,
these go on. They carry its identity in their environment, so that the next `dev` finds and ends them.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from analytics_dagster.errors import HomeError
from analytics_dagster.process_identity import Liveness, Process
from analytics_dagster.settings import variable_name

LEADER = "_ANALYTICS_DAGSTER_DEV"
"""The environment variable that holds the identity of the `dev` that started a process, directly or indirectly."""

_HOME = variable_name("dagster_home")
_DAEMON = re.compile(r"dagster(?:\._|-| )daemon\b|-m dagster dev\b|(?:^|/)dagster dev\b")
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class HomeProcess:
    """A process whose environment names a Dagster home, and the `dev` that started it, if that is known."""

    process: Process
    command: str
    leader: Process | None

    @property
    def is_left_over(self) -> bool:
        """Whether the `dev` that started it is dead."""
        return self.leader is not None and self.leader.liveness is Liveness.DEAD

    @property
    def runs_schedules(self) -> bool:
        """Whether it is a daemon, or starts one."""
        return bool(_DAEMON.search(self.command))


def claim_home(home: Path) -> list[HomeProcess]:
    """Record that this process serves a home, after it has ended what a killed `dev` left; return what it has ended.

    Raises `HomeError` that names the process which already serves it.
    """
    path = home / "dev_process"
    with FileLock(home / "home.lock"):
        recorded = Process.from_text(path.read_text(encoding="utf-8")) if path.exists() else None
        if recorded is not None and recorded.pid != os.getpid() and recorded.liveness is Liveness.ALIVE:
            raise _already_open(home, recorded, "analytics-dagster dev")
        found = list(home_processes(home))
        for one in found:
            if one.runs_schedules and not one.is_left_over:
                # Without options, which are long.
                raise _already_open(home, one.process, one.command.partition(" --")[0])
        left_over = [one for one in found if one.is_left_over]
        _stop([one.process.pid for one in left_over])
        path.write_text(Process.current().to_text(), encoding="utf-8")
    return left_over


def home_processes(home: Path) -> Iterator[HomeProcess]:
    """Yield the other processes of this user whose environment names a home."""
    import psutil  # no load of the location needs it

    for found in psutil.process_iter():
        try:
            environment = found.environ()
            process = Process.of(found.pid)
            command = " ".join(found.cmdline())
        except psutil.Error:
            # It has ended, or belongs to another user.
            continue
        if found.pid != os.getpid() and process and _is_same(environment.get(_HOME), home):
            yield HomeProcess(process, command, Process.from_text(environment.get(LEADER)))


def require_free_port(host: str, port: int) -> None:
    """Raise `HomeError` if a server can't listen on a port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as server:
            # As the web server does: a port that was closed a moment ago is free.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        raise HomeError(
            f"The UI can't listen on port {port} of {host}: {error.strerror}.{_listener(port)}",
            remedy="Stop what uses the port, or give another one with --port (and another address with --host).",
        ) from None


def _already_open(home: Path, process: Process, command: str) -> HomeError:
    return HomeError(
        f"Dagster's home {home} is already open: `{command}` runs as {process}.",
        remedy=f"Use its UI, or stop it; or set {_HOME} to another home.",
    )


def _is_same(named: str | None, home: Path) -> bool:
    return bool(named) and Path(str(named)).expanduser().resolve() == home.resolve()


def _stop(pids: Sequence[int]) -> None:
    """End processes, and kill those that do not end in time."""
    import psutil

    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    for signalled in ("terminate", "kill"):
        for process in processes:
            with suppress(psutil.Error):
                getattr(process, signalled)()
        _, processes = psutil.wait_procs(processes, timeout=_STOP_SECONDS)


def _listener(port: int) -> str:
    """Return a sentence that names the process which listens on a port; empty if that can't be known."""
    import psutil

    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return f" Process {one.pid} uses it: {' '.join(psutil.Process(one.pid).cmdline())[:100]}"
    return ""
