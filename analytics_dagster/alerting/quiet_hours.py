"""When a channel is left in peace, and the times of day of which it is made."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


def _as_clock(value: Any) -> Any:
    # YAML sees a number of sixties in 22:00 without quotes.
    return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else value


def _valid_clock(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time of day (such as 22:00)") from None
    return text


Clock = Annotated[
    str,
    BeforeValidator(_as_clock),
    AfterValidator(_valid_clock),
    WithJsonSchema({"type": "string", "examples": ["22:00"]}),
]


class Weekday(str, Enum):
    """A day of the week; the order is Python's."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class QuietHours(BaseModel):
    """When a channel is left in peace: what happens then is told when they end, unless it is over by then."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_: Clock = Field(alias="from", description="When they begin.")
    to: Clock = Field(description="When they end; before `from`, it is the next day's.")
    days: tuple[Weekday, ...] = Field(default=tuple(Weekday), description="The days on which they begin.")
    whole_days: tuple[Weekday, ...] = Field(default=(), description="Days that are quiet from midnight to midnight.")
    except_critical: bool = Field(default=True, description="Whether what is critical is told all the same.")

    def end(self, moment: datetime) -> datetime | None:
        """Return when the quiet hours end that a local moment is in; None where it is in none."""
        found = moment
        for _ in range(2 * len(Weekday)):
            later = self._end(found)
            if later is None:
                return found if found > moment else None
            found = later
        return found

    def _end(self, moment: datetime) -> datetime | None:
        days = list(Weekday)
        if days[moment.weekday()] in self.whole_days:
            return _at(moment.date() + timedelta(days=1), time(0), moment)
        start, stop = time.fromisoformat(self.from_), time.fromisoformat(self.to)
        for began in (moment.date(), moment.date() - timedelta(days=1)):
            if days[began.weekday()] in self.days:
                ends = began if start < stop else began + timedelta(days=1)
                if _at(began, start, moment) <= moment < _at(ends, stop, moment):
                    return _at(ends, stop, moment)
        return None


def _at(day: date, clock: time, like: datetime) -> datetime:
    return datetime.combine(day, clock, tzinfo=like.tzinfo)
