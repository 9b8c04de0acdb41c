"""Files that are written again and again, but never over what somebody has changed."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

from analytics_dagster.redaction import digest

_HEAD = "# Written by `analytics-dagster init` ({digest}). Once you change it, it is yours, and is kept."
_STAMP = re.compile(r"^# Written by `analytics-dagster init` \((?P<digest>[0-9a-f]{12})\)\..*\n")


class Outcome(str, Enum):
    """What became of a file."""

    WRITTEN = "written"
    RENEWED = "renewed"
    """It was as an earlier call had written it."""
    UNCHANGED = "unchanged"
    KEPT = "yours, kept"
    """It was changed, and there is nothing new to say."""
    BESIDE = "yours, kept; what is new lies beside it"
    """It was changed, or never ours; what would have been written has the same name and `.new` behind it."""


def keep(path: Path, body: str) -> Outcome:
    """Write a file whose comments begin with `#`, unless somebody has changed it since, or it never was ours.

    Its first line holds the digest of what follows as it was written, by which a change is seen.
    """
    stamped = f"{_HEAD.format(digest=digest(body))}\n{body}"
    if not path.exists():
        path.write_text(stamped, encoding="utf-8")
        return Outcome.WRITTEN
    there = path.read_text(encoding="utf-8")
    if there == stamped:
        return Outcome.UNCHANGED
    stamp = _STAMP.match(there)
    if stamp is not None and digest(there[stamp.end() :]) == stamp["digest"]:
        path.write_text(stamped, encoding="utf-8")
        return Outcome.RENEWED
    if stamp is not None and stamp["digest"] == digest(body):
        return Outcome.KEPT
    path.with_name(f"{path.name}.new").write_text(stamped, encoding="utf-8")
    return Outcome.BESIDE
