"""For which tables the landing sensor requests a run, when it repeats a request, and what its cursor holds."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.automation.earlier_cursors import is_unchanged
from analytics_dagster.automation.landing_cursor import STUCK_AFTER, LandingCursor, RequestedTable, decide
from analytics_dagster.ingestion.known_files import KnownFiles, file_ids
from analytics_dagster.ingestion.landing import LandedFile

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def landed(path: str, minute: int = 0, size: int = 1) -> LandedFile:
    return LandedFile(path, size, NOON + timedelta(minutes=minute))


def many(count: int, prefix: str = "f") -> list[LandedFile]:
    return [landed(f"{prefix}{number}") for number in range(count)]


class Site:
    """A landing zone with one table: its sensor, and the loads that it requests."""

    def __init__(self) -> None:
        self.cursor, self.known, self.now, self.loads = LandingCursor(), dict[str, KnownFiles](), 0.0, 0

    def tick(self, files: Sequence[LandedFile], after: float = 30.0) -> bool:
        """Return whether a tick requests a run."""
        self.now += after
        decision = decide(LandingCursor.from_text(self.cursor.to_text()), {"orders": files}, self.known, self.now)
        self.cursor = decision.cursor
        return bool(decision.tables)

    def load(self, files: Sequence[LandedFile], left: Sequence[LandedFile] = ()) -> None:
        """Load files completely, except those that can't be opened."""
        self.loads += 1
        loaded = frozenset(file_ids(one for one in files if one not in left))
        self.known["orders"] = KnownFiles(loaded, frozenset(file_ids(left)), str(self.loads))


@pytest.mark.parametrize(
    ("before", "now", "is_requested"),
    [
        ([], [], False),
        ([], many(1), True),
        ([], many(5_000), True),
        (many(3), many(3), False),
        (many(3), list(reversed(many(3))), False),
        (many(3), many(4), True),
        (many(3), many(2), False),
        (many(3), [], False),
        (many(3), [*many(2), landed("f2", 1)], True),
        (many(3), [*many(2), landed("f2", size=9)], True),
        (many(3), [*many(2), landed("late", -9_999)], True),
        (many(5_000), many(4_950), False),
        (many(5_000), many(3_000, "other"), True),
    ],
)
def test_a_run_is_requested_if_and_only_if_the_last_load_does_not_know_a_file(
    before: list[LandedFile], now: list[LandedFile], *, is_requested: bool
) -> None:
    site = Site()
    site.tick(before)
    site.load(before)
    assert site.tick(now) == is_requested


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 30)), st.booleans()), max_size=12))
def test_every_new_file_is_requested_until_a_load_succeeds_and_no_run_is_empty(
    ticks: list[tuple[set[int], bool]],
) -> None:
    site, loaded, requested = Site(), set[LandedFile](), False
    for numbers, succeeds in ticks:
        files = [landed(f"f{number}") for number in numbers]
        failed_before = requested
        requested = site.tick(files, 30.0)
        if failed_before:
            requested = requested or site.tick(files, 7_200.0)
        assert requested == (failed_before or not loaded.issuperset(files))
        if requested and succeeds:
            site.load(files)
            loaded, requested = set(files), False


def test_a_failed_run_is_requested_again_with_an_increasing_delay() -> None:
    site = Site()
    moments = list[float]()
    for _ in range(10_000):
        if site.tick(many(2), 10.0):
            moments.append(site.now)
    delays = [int(later - earlier) for earlier, later in pairwise(moments)]
    assert delays[:8] == [70, 130, 250, 490, 970, 1_930, 3_610, 3_610]
    assert max(delays) == 3_610


def test_a_run_that_was_killed_before_its_results_were_stored_is_repeated_even_without_files() -> None:
    site = Site()
    assert site.tick(many(1))
    assert not site.tick([])  # the killed run has moved the malformed file
    assert site.tick([], 60.0)
    site.load([])
    assert not site.tick([], 9_999.0)
    assert site.cursor.requested == {}


def test_files_that_can_not_be_opened_are_requested_with_a_delay_and_do_not_stop_others() -> None:
    site, bad = Site(), landed("bad")
    assert site.tick([bad])
    site.load([bad], left=[bad])
    assert not site.tick([bad])
    assert site.tick([bad, landed("a")])
    site.load([bad, landed("a")], left=[bad])
    assert not site.tick([bad, landed("a")])
    assert site.tick([bad, landed("a")], 130.0)
    site.load([bad, landed("a")])
    assert not site.tick([bad, landed("a")], 9_999.0)


def test_files_are_stuck_after_several_runs_until_they_are_loaded() -> None:
    site, seen = Site(), list[bool]()
    for _ in range(STUCK_AFTER + 2):
        assert site.tick(many(2), 9_999.0)
        seen.append(bool(site.cursor.stuck))
        assert not site.tick(many(2))  # the run has failed
        seen.append(bool(site.cursor.stuck))
    assert seen == [False] * (2 * STUCK_AFTER - 1) + [True] * 5
    assert site.cursor.stuck["orders"].files == 2
    assert site.tick(many(2), 9_999.0)
    site.load(many(2))
    assert not site.tick(many(2))
    assert site.cursor.stuck == {}


def test_only_the_tables_with_new_files_are_in_the_run() -> None:
    known = {name: KnownFiles(frozenset(file_ids(many(2)))) for name in ("orders", "items")}
    listings = {"orders": many(2), "items": many(3), "tweets": many(1)}
    assert decide(LandingCursor(), listings, known, 0.0).tables == ("items", "tweets")


def test_the_run_key_repeats_for_the_same_request_and_differs_for_the_next() -> None:
    first = decide(LandingCursor(), {"orders": many(1)}, {}, 0.0)
    assert decide(LandingCursor(), {"orders": many(1)}, {}, 30.0).run_key == first.run_key
    waiting = decide(first.cursor, {"orders": many(1)}, {}, 30.0)
    again = decide(waiting.cursor, {"orders": many(1)}, {}, 90.0)
    assert again.tables == ("orders",)
    assert again.run_key != first.run_key


def test_the_cursor_does_not_grow_with_the_files() -> None:
    assert len(decide(LandingCursor(), {"orders": many(100_000)}, {}, 0.0).cursor.to_text()) < 250


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", '{"version": 0}', '{"version": 2, "round": 1}', '{"version": 3, "round": 1, "requested": 3}'],
)
def test_an_unreadable_cursor_counts_as_none(text: str | None) -> None:
    assert LandingCursor.from_text(text) == LandingCursor()


def test_a_cursor_is_read_as_it_was_stored() -> None:
    cursor = LandingCursor(7, {"orders": RequestedTable("a", 1.0, 2, 3.0, 4, is_left=True)}, unreadable=5.0)
    assert LandingCursor.from_text(cursor.to_text()) == cursor


def test_an_unreadable_state_of_the_files_counts_as_none_and_every_file_is_new() -> None:
    known = KnownFiles(frozenset([0, 2**64 - 1, 5]), frozenset([7]), "a")
    assert KnownFiles.from_text(known.to_text()) == known
    for text in ("", "{}", "[]", '{"load": "a", "known": "?", "left": ""}'):
        assert KnownFiles.from_text(text) is None


# --- cursors of earlier versions ------------------------------------------------------------------------------

THREE = [landed("a"), landed("b", 1), landed("c", size=7)]
SKETCH = (
    "eJxjYBjZgBGIl7oc5pG4KRt9SuVRzkC7Bx2A3Dc3+abaDs0bx/pYeFwG2j3UBiD/fZN+kSjzWuVn+wUey4F2z0CDwZ4eRxqgNP+Npm/6AkLhPdTz1"
    "3CvD+gNADtHMo8="
)
HASH = "8da20be26068708204c70656b77db789"


@pytest.mark.parametrize(
    ("stored", "listing"),
    [
        (f'{{"version": 1, "round": 4, "tables": {{"orders": "{SKETCH}"}}}}', SKETCH),
        (f'{{"version": 2, "round": 4, "listings": {{"orders": "{HASH}"}}}}', HASH),
    ],
)
def test_the_listings_of_earlier_cursors_are_recognized(stored: str, listing: str) -> None:
    cursor = LandingCursor.from_text(stored)
    assert (cursor.round, cursor.earlier) == (4, {"orders": listing})
    assert is_unchanged(listing, list(reversed(THREE)))
    assert not is_unchanged(listing, THREE[:2])
    assert not is_unchanged(listing, [*THREE, landed("d")])
    assert not is_unchanged(listing, [landed("a", 2), *THREE[1:]])


@pytest.mark.parametrize("listing", ["", "eJw=", base64.b64encode(zlib.compress(b"x")).decode(), "no base64"])
def test_an_unreadable_listing_is_no_proof_that_nothing_changed(listing: str) -> None:
    assert not is_unchanged(listing, THREE)
