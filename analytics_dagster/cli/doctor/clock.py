"""Whether this machine's clock is right, by the clock of whatever was asked anyway."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well

CHECK = "clock"

_TOLERATED = 30.0  # seconds; a schedule ticks by the minute
_TOO_MUCH = 300.0  # seconds; S3 refuses requests at fifteen minutes, tokens sooner


def check_clock(now: datetime, others: Mapping[str, datetime]) -> Finding:
    """Return how far this machine's clock is from those of others, by their names. Pure."""
    if not others:
        return well(CHECK, f"{now:%Y-%m-%d %H:%M:%S %Z} by this machine; nothing was asked that would tell otherwise.")
    name, other = max(others.items(), key=lambda item: abs(now - item[1]))
    seconds = (now - other).total_seconds()
    way = "ahead of" if seconds > 0 else "behind"
    said = f"This machine's clock is {abs(seconds):,.0f} s {way} {name}."
    remedy = "Set it by NTP (`timedatectl set-ntp true`): schedules tick by it."
    if abs(seconds) > _TOO_MUCH:
        return ill(CHECK, said, remedy)
    if abs(seconds) > _TOLERATED:
        return doubt(CHECK, said, remedy)
    return well(CHECK, f"It agrees with {name} to {_TOLERATED:g} s.")
