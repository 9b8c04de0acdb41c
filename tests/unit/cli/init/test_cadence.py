"""Which words say how often something runs, and which only look like it."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.cli.init.cadence import cadence_of


@pytest.mark.parametrize(
    ("word", "name", "cron"),
    [
        ("hourly", "hourly", "0 * * * *"),
        ("Daily", "daily", "0 6 * * *"),
        ("nightly", "nightly", "0 6 * * *"),
        ("schedule:weekly", "weekly", "0 6 * * 1"),
        ("refresh-monthly", "monthly", "0 6 1 * *"),
        ("run_daily", "daily", "0 6 * * *"),
        ("workdays", "weekdays", "0 6 * * 1-5"),
        ("every_15_minutes", "every_15_minutes", "*/15 * * * *"),
        ("15min", "every_15_minutes", "*/15 * * * *"),
        ("2h", "every_2_hours", "0 */2 * * *"),
        ("every-hour", None, ""),
        ("1h", "hourly", "0 * * * *"),
        ("60min", "hourly", "0 * * * *"),
        ("every 24 hours", "daily", "0 6 * * *"),
        ("7h", None, ""),
        ("0min", None, ""),
        ("daily_active_users", None, ""),
        ("hourly weekly", None, ""),
        ("finance", None, ""),
        ("", None, ""),
    ],
)
def test_a_word_says_how_often_or_nothing(word: str, name: str | None, cron: str) -> None:
    cadence = cadence_of(word)
    assert (cadence and cadence.name) == name
    if cadence is not None:
        assert cadence.cron == cron
        dg.ScheduleDefinition(job_name="any", cron_schedule=cadence.cron)


def test_the_words_that_its_page_names_are_known() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "adopting.md").read_text(encoding="utf-8")
    sentence = page.partition("makes a group of that name:")[2].partition(". Then")[0]
    words = re.findall(r"`([^`]+)`", sentence)
    assert len(words) == 13
    assert [word for word in words if cadence_of(word) is None] == []


def test_what_runs_more_often_comes_first() -> None:
    words = ["monthly", "15min", "yearly", "daily", "weekly", "hourly", "quarterly", "2h", "weekdays"]
    found = sorted(cadence for cadence in map(cadence_of, words) if cadence)
    assert [cadence.name for cadence in found] == [
        "every_15_minutes",
        "hourly",
        "every_2_hours",
        "daily",
        "weekdays",
        "weekly",
        "monthly",
        "quarterly",
        "yearly",
    ]
