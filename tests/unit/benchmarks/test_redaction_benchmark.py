"""The benchmark of redaction has a row for each text, and each takes time in proportion to its length."""

from __future__ import annotations

from benchmarks.redaction import TEXTS, rows


def test_the_time_grows_no_faster_than_the_text() -> None:
    short, long = dict(rows(100_000)), dict(rows(1_000_000))
    assert list(long) == list(TEXTS)
    # Ten times the length. Quadratic time is a hundred times as long; the second covers what is too short to measure.
    assert [name for name in TEXTS if long[name] > 30 * short[name] + 1] == []
