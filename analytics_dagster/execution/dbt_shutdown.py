"""How dbt ends when the step that runs it does not go on."""

from __future__ import annotations

import signal
import subprocess

import dagster as dg

_SECONDS_TO_STOP = 25.0


def interrupt_in(error: BaseException) -> BaseException | None:
    """Return the interrupt, if that is why the step ends, also where dagster-dbt then waited for dbt in vain."""
    if isinstance(error, dg.DagsterExecutionInterruptedError):
        return error
    before = error.__context__
    if isinstance(error, subprocess.TimeoutExpired) and isinstance(before, dg.DagsterExecutionInterruptedError):
        return before
    return None


def stop(process: subprocess.Popen[bytes]) -> None:
    """End dbt if it is still at work: it has nobody any more to report to."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
