"""How often something runs, by the words that people use for it in tags and meta."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DAY, _WEEK, _MONTH = 24.0, 168.0, 730.0  # hours


@dataclass(frozen=True, order=True)
class Cadence:
    """Every so many hours, by a cron schedule; the name is fit for a schedule group."""

    hours: float
    name: str
    cron: str


DAILY = Cadence(_DAY, "daily", "0 6 * * *")

# All that run on days do so at the same minute: there a downstream group waits for the upstream one.
_WORDS = {
    "intraday": Cadence(0.25, "intraday", "*/15 * * * *"),
    "hourly": Cadence(1, "hourly", "0 * * * *"),
    "daily": DAILY,
    "nightly": Cadence(_DAY, "nightly", "0 6 * * *"),
    "weekdays": Cadence(_DAY * 1.4, "weekdays", "0 6 * * 1-5"),
    "weekly": Cadence(_WEEK, "weekly", "0 6 * * 1"),
    "monthly": Cadence(_MONTH, "monthly", "0 6 1 * *"),
    "quarterly": Cadence(_MONTH * 3, "quarterly", "0 6 1 1,4,7,10 *"),
    "yearly": Cadence(_MONTH * 12, "yearly", "0 6 1 1 *"),
}
_ALSO = {
    "overnight": "nightly",
    "weekday": "weekdays",
    "workday": "weekdays",
    "workdays": "weekdays",
    "annually": "yearly",
    "annual": "yearly",
}
_EVERY = re.compile(r"(\d{1,2})(m|min|mins|minute|minutes|h|hr|hrs|hour|hours)")
_AROUND = frozenset(
    {
        *("schedule", "scheduled", "run", "runs", "refresh", "refreshed", "update", "updated"),
        *("frequency", "freq", "cadence", "every", "job", "build", "group"),
    }
)


def cadence_of(word: str) -> Cadence | None:
    """Return how often a tag or a value of meta says that something runs; None where it says nothing of that.

    `hourly`, `schedule:daily`, `refresh-weekly`, `every_15_minutes`, `2h` do; `daily_active_users` does not. Pure.
    """
    parts = [part for part in re.split(r"[^a-z0-9]+", word.lower()) if part and part not in _AROUND]
    text = "".join(parts)
    every = _EVERY.fullmatch(text)
    if every is not None:
        return _every(int(every[1]), is_minutes=every[2].startswith("m"))
    return _WORDS.get(_ALSO.get(text, text)) if len(parts) == 1 else None


def _every(number: int, *, is_minutes: bool) -> Cadence | None:
    """Return the cadence of every so many minutes or hours, if an hour or a day is a multiple of it."""
    unit, whole = ("minutes", 60) if is_minutes else ("hours", 24)
    hours = number / 60 if is_minutes else float(number)
    known = {_WORDS["hourly"].hours: _WORDS["hourly"], DAILY.hours: DAILY}
    if number == 0 or whole % number:
        return None
    cron = f"*/{number} * * * *" if is_minutes else f"0 */{number} * * *"
    return known.get(hours, Cadence(hours, f"every_{number}_{unit}", cron))
