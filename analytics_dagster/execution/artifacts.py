"""Makes and deletes the folders for dbt's artifacts: one folder per dbt invocation."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_RUNS = "runs"
_LAST = "last"
_STATE = ("manifest.json", "run_results.json")
"""The files that dbt's `--state` and `--defer` read."""

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class RunFolders:
    """The artifact folders of one step of a run, below the folder of the manifest.

    After a successful build its state files move to `last/STEP`, and its folders are deleted unless ``all_kept``.
    Other folders, for example of failed or killed runs, are deleted when nothing was written to them for ``days``.
    """

    artifacts: Path
    run_id: str
    step: str
    days: float
    all_kept: bool = False

    def make(self, number: int) -> Path:
        """Make and return the folder of a dbt invocation of the step, numbered from 1."""
        folder = self.artifacts / _RUNS / f"{self.run_id}-{self._name(number)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, numbers: Iterable[int]) -> None:
        """Keep the state files of successful invocations, and delete their folders unless all are kept."""
        keep = shutil.copyfile if self.all_kept else os.replace
        for number in numbers:
            folder = self.make(number)
            last = self.artifacts / _LAST / self._name(number)
            last.mkdir(parents=True, exist_ok=True)
            for name in _STATE:
                if (folder / name).exists():
                    keep(folder / name, last / name)
            if not self.all_kept:
                _delete(folder)

    def delete(self, number: int) -> None:
        """Delete the folder of a successful invocation that leaves no state to keep."""
        if not self.all_kept:
            _delete(self.make(number))

    def delete_old(self) -> None:
        """Delete the expired folders of earlier runs."""
        oldest = time.time() - self.days * _SECONDS_A_DAY
        runs = self.artifacts / _RUNS
        for folder in runs.iterdir() if runs.exists() else ():
            # Another process may delete it at the same time.
            with suppress(FileNotFoundError):
                if folder.is_dir() and _last_write(folder) < oldest:
                    _delete(folder)

    def _name(self, number: int) -> str:
        # Not the name of the group: Dagster splits a group into several steps if groups depend on each other.
        return self.step if number == 1 else f"{self.step}-{number}"


def _last_write(folder: Path) -> float:
    """Return the time of the last write to a folder; a running dbt writes its log there."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _delete(folder: Path) -> None:
    # A failure to delete must not fail a build; `delete_old` tries again.
    shutil.rmtree(folder, ignore_errors=True)
