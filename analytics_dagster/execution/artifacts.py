"""The folders that dbt writes its artifacts into: one for each of its starts, and how long they are kept."""

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
"""What dbt's own `--state` and `--defer` read of an earlier build."""

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class RunFolders:
    """The folders of one step's starts of dbt, below the folder of the manifest.

    Those of a build that has ended well go at once, unless ``all_kept``, but for what dbt itself can compare with
    later: that is in `last/STEP`. All others, those of runs that were killed among them, go when nothing was written
    into them for ``days``.
    """

    artifacts: Path
    run_id: str
    step: str
    days: float
    all_kept: bool = False

    def make(self, number: int) -> Path:
        """Make the folder of the step's first, second, ... start of dbt, and return it."""
        folder = self.artifacts / _RUNS / f"{self.run_id}-{self._name(number)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, numbers: Iterable[int]) -> None:
        """Keep of these starts, which have ended well, what dbt can compare with later, and delete the rest."""
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
        """Delete the folder of a start that has ended well, and of which nothing is compared with later."""
        if not self.all_kept:
            _delete(self.make(number))

    def delete_old(self) -> None:
        """Delete the folders of earlier runs that are past their time."""
        oldest = time.time() - self.days * _SECONDS_A_DAY
        runs = self.artifacts / _RUNS
        for folder in runs.iterdir() if runs.exists() else ():
            # Another process may delete it too, at the same time.
            with suppress(FileNotFoundError):
                if folder.is_dir() and _written(folder) < oldest:
                    _delete(folder)

    def _name(self, number: int) -> str:
        # A step's name, not the group's: a group whose steps wait for others' in a circle comes in several steps.
        return self.step if number == 1 else f"{self.step}-{number}"


def _written(folder: Path) -> float:
    """Return when something was last written into a folder: dbt's log is, as long as dbt is at work."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _delete(folder: Path) -> None:
    # What can't be deleted now is deleted when it is old: no build fails over it.
    shutil.rmtree(folder, ignore_errors=True)
