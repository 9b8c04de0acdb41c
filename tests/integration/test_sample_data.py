"""The sample data script: one year of a shop, written hour by hour, reproducible from a seed."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sample_data.py"
SEED = 42
DAYS_AHEAD = 193  # instead of 28: half a year, which is faster to simulate, then includes NOW
DAYS = 200
NOW = datetime(2026, 11, 18, 13, 20, tzinfo=timezone.utc)  # a Wednesday
HOUR = timedelta(hours=1)

Rows = dict[str, list[dict[str, Any]]]


def load_script() -> Any:
    """Import the script as a module."""
    spec = importlib.util.spec_from_file_location("sample_data", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    return module


sample = load_script()


@pytest.fixture(scope="session")
def calendar() -> Any:
    """Return the calendar of a landing zone that was created at `NOW`."""
    return sample.Calendar(seed=SEED, days_ahead=DAYS_AHEAD, anchor=NOW.date())


@pytest.fixture(scope="session")
def files(calendar: Any) -> Any:
    """Return all files of half a year; the simulation takes seconds."""
    return sample.plan(sample.simulate(SEED, DAYS), calendar)


@pytest.fixture(scope="session")
def arrived(files: Any) -> Rows:
    """Return all rows that a first run at `NOW` writes."""
    return rows(sample.due(files, None, NOW))


@pytest.fixture(scope="session")
def recent(files: Any) -> Any:
    """Return the files from one week before `NOW`, for tests that do not depend on the amount of data."""
    return [file for file in files if file.period.ends > NOW - timedelta(weeks=1)]


@pytest.fixture
def delivered(recent: Any, tmp_path: Path) -> Path:
    """Return a landing zone after a first run at `NOW`."""
    deliver(tmp_path / "delivered", recent, NOW)
    return tmp_path / "delivered"


@pytest.fixture(scope="session")
def few_days() -> Any:
    """Return the first days of the shop."""
    return sample.simulate(SEED, days=4)


@pytest.fixture
def quick(recent: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the simulation of the command line by existing files; restore pytest's signal handlers."""
    monkeypatch.setattr(sample, "simulate", lambda _seed: None)
    monkeypatch.setattr(sample, "plan", lambda _shop, _calendar: recent)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def deliver(root: Path, files: Any, now: datetime) -> Any:
    """Write files into a folder like a run at a given time."""
    landing = sample.open_landing(str(root))
    sample.begin(landing, now=now, seed=SEED, days_ahead=DAYS_AHEAD)
    return sample.deliver(landing, files, now)


def contents(root: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def visible(root: Path) -> dict[str, bytes]:
    """Return the content of each visible file in a folder."""
    return {path: content for path, content in contents(root).items() if not Path(path).name.startswith(".")}


def rows(files: Any) -> Rows:
    """Return the rows of files by table in the order of arrival, each with the path of its file."""
    found: Rows = defaultdict(list)
    for file in files:
        for row in file.rows:
            named = dict(zip(file.table.schema.names, row.values, strict=True))
            found[file.table.name].append(named | {"file": file.path})
    return found


def by_id(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the versions of each row in the order of arrival."""
    versions = defaultdict(list)
    for row in found:
        versions[row["id"]].append(row)
    return versions


def test_the_same_seed_gives_the_same_bytes_twice_in_one_process(calendar: Any, few_days: Any) -> None:
    again = sample.simulate(SEED, days=4)
    first, second = (sample.plan(shop, calendar) for shop in (few_days, again))
    assert [(file.path, file.content()) for file in first] == [(file.path, file.content()) for file in second]


def test_another_seed_gives_another_shop(calendar: Any, few_days: Any) -> None:
    other = sample.simulate(SEED + 1, days=4)
    assert list(sample.history(few_days, calendar)) != list(sample.history(other, calendar))


def test_another_process_gives_the_same_bytes(tmp_path: Path, calendar: Any, few_days: Any) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import sample_data as s\n"
        f"landing, now = s.open_landing({str(tmp_path / 'other')!r}), s.moment({NOW.isoformat()!r})\n"
        f"state = s.begin(landing, now=now, seed={SEED}, days_ahead={DAYS_AHEAD})\n"
        f"s.deliver(landing, s.plan(s.simulate({SEED}, days=4), state.calendar), now)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    deliver(tmp_path / "here", sample.plan(few_days, calendar), NOW)
    assert contents(tmp_path / "other") == contents(tmp_path / "here")


def test_the_faster_day_gives_the_same_simulation_as_jafgen(
    monkeypatch: pytest.MonkeyPatch,
    few_days: Any,
) -> None:
    def summary(shop: Any) -> list[Any]:
        return [(order.customer.name, order.order_time.date, order.subtotal) for order in shop.orders]

    monkeypatch.setattr(sample, "QuickDay", sample.Day)
    assert summary(few_days) == summary(sample.simulate(SEED, days=4))


def test_weekdays_do_not_change_and_the_year_ends_about_four_weeks_ahead() -> None:
    for anchor in (date(2026, 11, 18) + timedelta(days=days) for days in range(14)):
        calendar = sample.Calendar(seed=SEED, days_ahead=28, anchor=anchor)
        assert calendar.shift % timedelta(weeks=1) == timedelta(0)
        assert calendar.starts.weekday() == sample.Day.EPOCH.weekday()
        assert timedelta(days=24) <= calendar.ends - sample.midnight(anchor) <= timedelta(days=32)
        assert calendar.ends - calendar.starts == timedelta(days=365)


def test_shops_close_at_three_on_weekends_and_at_eight_on_weekdays(arrived: Rows) -> None:
    hours: dict[bool, set[int]] = {True: set(), False: set()}
    for row in arrived["orders"]:
        hours[row["ordered_at"].weekday() >= 5].add(row["ordered_at"].hour)
    assert hours == {True: set(range(8, 15)), False: set(range(7, 20))}


def test_files_are_daily_before_the_anchor_and_hourly_from_it_on(delivered: Path) -> None:
    paths = visible(delivered)
    assert "orders/2026/11/17/orders-2026-11-17.parquet" in paths
    assert "orders/2026/11/18/orders-2026-11-18T12.parquet" in paths
    assert "orders/2026/11/18/orders-2026-11-18T13.parquet" not in paths
    for path in paths:
        table, *day, name = path.split("/")
        hourly = date.fromisoformat("-".join(day)) >= NOW.date()
        assert name.startswith(f"{table}-{'-'.join(day)}{'T' if hourly else '.'}")


def test_no_row_of_the_future_is_written(arrived: Rows) -> None:
    assert set(arrived) == {table.name for table in sample.TABLES}
    for found in arrived.values():
        times = [value for row in found for name, value in row.items() if name.endswith("_at")]
        assert max(times) < NOW.replace(minute=0)


def test_a_row_refers_only_to_rows_that_are_written_too(arrived: Rows) -> None:
    known = {table: {row.get("id", row.get("sku")) for row in found} for table, found in arrived.items()}
    assert {row["customer"] for row in arrived["orders"]} <= known["customers"]
    assert {row["store_id"] for row in arrived["orders"]} == known["stores"]
    assert {row["order_id"] for row in arrived["items"]} <= known["orders"]
    assert {row["sku"] for row in arrived["items"]} == known["products"]
    assert {row["user_id"] for row in arrived["tweets"]} <= known["customers"]
    assert {row["sku"] for row in arrived["supplies"]} == known["products"]


@pytest.mark.parametrize("table", ["items", "tweets", "stores"])
def test_a_row_that_never_changes_is_written_once(arrived: Rows, table: str) -> None:
    assert {len(versions) for versions in by_id(arrived[table]).values()} == {1}


def test_files_hold_the_planned_rows_with_their_types(delivered: Path, recent: Any) -> None:
    due = sample.due(recent, None, NOW)
    assert {file.table.name for file in due} >= {"customers", "supplies", "orders", "items", "tweets"}
    for file in due:
        planned = [row.values for row in file.rows]
        if file.table.format == "parquet":
            table = pq.read_table(delivered / file.path)
            assert table.schema == file.table.schema
            assert [tuple(row.values()) for row in table.to_pylist()] == planned
        else:
            with (delivered / file.path).open(newline="") as text:
                header, *held = csv.reader(text)
            assert header == file.table.schema.names
            assert held == [[str(sample.csv_value(value)) for value in values] for values in planned]


def test_orders_have_cents_as_integers_and_times_with_their_zone() -> None:
    schema = sample.ORDERS.schema
    assert {schema.field(name).type for name in ("subtotal", "tax_paid", "order_total")} == {pa.int64()}
    assert {schema.field(name).type for name in ("ordered_at", "updated_at")} == {pa.timestamp("us", tz="UTC")}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (0.06, 0.06), (NOW, "2026-11-18T13:20:00+00:00"), ("a, b", "a, b")],
)
def test_a_value_in_csv(value: object, text: object) -> None:
    assert sample.csv_value(value) == text


def test_one_percent_of_orders_arrive_without_tax_and_are_corrected_later(arrived: Rows) -> None:
    orders = by_id(arrived["orders"])
    twice = [versions for versions in orders.values() if len(versions) > 1]
    assert 0.008 < len(twice) / len(orders) < 0.012
    for offline, corrected in twice:
        assert offline["tax_paid"] == 0 < corrected["tax_paid"]
        assert offline["order_total"] == offline["subtotal"] == corrected["subtotal"]
        assert corrected["order_total"] == corrected["subtotal"] + corrected["tax_paid"]
        assert offline["updated_at"] == offline["ordered_at"] == corrected["ordered_at"]
        assert HOUR <= corrected["updated_at"] - corrected["ordered_at"] <= 36 * HOUR
        assert corrected["file"] > offline["file"]


def test_half_a_percent_of_orders_arrive_late_with_their_items(arrived: Rows, calendar: Any) -> None:
    def is_late(row: dict[str, Any]) -> bool:
        return calendar.period(row["updated_at"]).label not in row["file"]

    late = {row["id"]: row for row in arrived["orders"] if is_late(row)}
    assert 0.004 < len(late) / len(arrived["orders"]) < 0.006
    for row in late.values():
        placed, came = row["ordered_at"].date(), date(*map(int, row["file"].split("/")[1:4]))
        assert timedelta(0) <= came - placed <= timedelta(days=2)
    items = [row for row in arrived["items"] if row["order_id"] in late]
    assert items
    assert items == [row for row in arrived["items"] if is_late(row)]
    assert all(row["file"].replace("items", "orders") == late[row["order_id"]]["file"] for row in items)


def test_supply_costs_change_every_week_before_and_after_now(files: Any, calendar: Any) -> None:
    changes: dict[datetime, set[str]] = defaultdict(set)
    cost: dict[tuple[str, str], int] = {}
    for row in rows(file for file in files if file.table == sample.SUPPLIES)["supplies"]:
        assert cost.get((row["id"], row["sku"])) != row["cost"]
        cost[row["id"], row["sku"]] = row["cost"]
        changes[row["updated_at"]].add(row["id"])
    first, *mondays = sorted(changes)
    assert first == calendar.starts
    assert len(changes[first]) == 29
    assert all(len(changes[monday]) == 3 for monday in mondays)
    assert {later - monday for monday, later in pairwise(mondays)} == {timedelta(weeks=1)}
    assert len(mondays) == 52
    assert mondays[0].weekday() == 0
    assert mondays[-1] > NOW


def test_some_customers_change_their_name_and_nothing_else(files: Any) -> None:
    customers = by_id(rows(file for file in files if file.table == sample.CUSTOMERS)["customers"])
    renamed = [versions for versions in customers.values() if len(versions) > 1]
    assert 0.02 < len(renamed) / len(customers) < 0.08
    for before, after in renamed:
        assert before["created_at"] == after["created_at"] == before["updated_at"] < after["updated_at"]
        assert before["name"] != after["name"]


def test_a_customer_exists_from_the_first_order_on(arrived: Rows) -> None:
    first: dict[str, datetime] = {}
    for row in arrived["orders"]:
        first[row["customer"]] = min(row["ordered_at"], first.get(row["customer"], NOW))
    created = {row["id"]: row["created_at"] for row in arrived["customers"]}
    assert first.items() <= created.items()


def test_a_store_exists_from_its_opening_day_on(files: Any) -> None:
    philadelphia, brooklyn = rows(file for file in files if file.table == sample.STORES)["stores"]
    assert (philadelphia["name"], brooklyn["name"]) == ("Philadelphia", "Brooklyn")
    assert brooklyn["opened_at"] - philadelphia["opened_at"] == timedelta(days=192)
    assert brooklyn["file"].endswith(f"/stores-{brooklyn['opened_at']:%Y-%m-%dT%H}.csv")


def test_a_second_run_in_the_same_hour_writes_nothing(delivered: Path, recent: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in delivered.rglob("*")}
    report = deliver(delivered, recent, NOW + timedelta(minutes=30))
    assert report.files == 0
    assert report.text.endswith("nothing new since 2026-11-18 13:00 UTC")
    assert {path: path.stat().st_mtime_ns for path in delivered.rglob("*")} == before


def test_several_runs_write_the_same_files_as_one_run(
    tmp_path: Path,
    recent: Any,
) -> None:
    known: dict[str, bytes] = {}
    for hours in (0, 3, 20, 21, 80):
        report = deliver(tmp_path / "steps", recent, NOW + hours * HOUR)
        found = visible(tmp_path / "steps")
        assert known.items() < found.items()
        assert len(found) - len(known) == report.files
        known = found

    sample.begin(sample.open_landing(str(tmp_path / "once")), now=NOW, seed=SEED, days_ahead=DAYS_AHEAD)
    deliver(tmp_path / "once", recent, NOW + 80 * HOUR)
    assert contents(tmp_path / "once") == contents(tmp_path / "steps")


def test_a_deleted_file_stays_deleted(tmp_path: Path, recent: Any) -> None:
    deliver(tmp_path, recent, NOW)
    gone = next((tmp_path / "orders").rglob("*.parquet"))
    gone.unlink()
    deliver(tmp_path, recent, NOW + HOUR)
    assert not gone.exists()


@pytest.mark.parametrize("after", [0, 1, 7])
def test_the_next_run_completes_a_killed_run_on_any_day(
    tmp_path: Path,
    recent: Any,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    real_replace, calls = Path.replace, Counter[str]()

    def killed(self: Path, target: Path) -> Path:
        calls["replace"] += 1
        if calls["replace"] > 1 + after:  # the first call writes the state with the calendar
            raise KeyboardInterrupt
        return real_replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(tmp_path / "killed", recent, NOW)
    assert len(visible(tmp_path / "killed")) == after

    tomorrow = NOW + 24 * HOUR
    deliver(tmp_path / "killed", recent, tomorrow)
    deliver(tmp_path / "whole", recent, NOW)
    deliver(tmp_path / "whole", recent, tomorrow)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_the_state_is_the_only_hidden_file(delivered: Path) -> None:
    hidden = [path.name for path in delivered.rglob(".*")]
    assert hidden == [".sample.json"]
    assert json.loads((delivered / ".sample.json").read_text()) == {
        "seed": SEED,
        "days_ahead": DAYS_AHEAD,
        "anchor": "2026-11-18",
        "delivered_until": "2026-11-18 13:00:00+00:00",
    }


def test_an_earlier_now_writes_nothing_and_keeps_the_state(tmp_path: Path, recent: Any) -> None:
    deliver(tmp_path, recent, NOW)
    before = contents(tmp_path)
    assert deliver(tmp_path, recent, NOW - 5 * HOUR).files == 0
    assert contents(tmp_path) == before


def test_the_end_of_the_year_is_reported_with_how_to_start_again(tmp_path: Path, recent: Any) -> None:
    deliver(tmp_path, recent, NOW)
    report = deliver(tmp_path, recent, NOW + timedelta(days=220))
    assert report.finished
    assert "The year of the shop is over" in report.text
    assert f"rm -r {tmp_path}" in report.text
    again = deliver(tmp_path, recent, NOW + timedelta(days=221))
    assert "nothing new" in again.text
    assert "The year of the shop is over" in again.text


def test_any_fsspec_url_works(recent: Any, tmp_path: Path) -> None:
    landing = sample.open_landing("memory://landing")
    sample.begin(landing, now=NOW, seed=SEED, days_ahead=DAYS_AHEAD)
    sample.deliver(landing, recent, NOW)
    deliver(tmp_path, recent, NOW)
    memory = fsspec.filesystem("memory")
    held = {path.removeprefix("/landing/"): memory.cat(path) for path in memory.find("/landing")}
    memory.rm("/landing", recursive=True)
    assert held == contents(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-18T13:20:00", NOW),
        ("2026-11-18T13:20:00Z", NOW),
        ("2026-11-18T15:20:00+02:00", NOW),
        ("2026-11-18", datetime(2026, 11, 18, tzinfo=timezone.utc)),
    ],
)
def test_now_without_a_time_zone_is_utc(text: str, expected: datetime) -> None:
    assert sample.moment(text) == expected


@pytest.mark.usefixtures("quick")
def test_the_command_prints_what_it_wrote_and_skips_the_simulation_if_nothing_is_new(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--landing", str(tmp_path), "--days-ahead", str(DAYS_AHEAD), "--now", NOW.isoformat()]
    assert sample.main(arguments) == 0
    assert sample.main(arguments) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "Simulating a year of the jaffle shop (seed 42) ..."
    assert "new files up to 2026-11-18 13:00 UTC: products 0, stores 0, supplies " in second
    assert third == f"{tmp_path}: nothing new since 2026-11-18 13:00 UTC"


@pytest.mark.parametrize(
    ("until", "now", "expected"),
    [
        (None, NOW, True),
        (NOW.replace(minute=0), NOW, False),
        (NOW.replace(minute=0), NOW + HOUR, True),
        (NOW + timedelta(days=220), NOW + timedelta(days=230), False),
    ],
)
def test_the_year_is_simulated_only_if_there_can_be_new_data(
    until: datetime | None, now: datetime, *, expected: bool
) -> None:
    state = sample.State(seed=SEED, days_ahead=DAYS_AHEAD, anchor=NOW.date(), delivered_until=until)
    assert sample.may_have_more(state, now) is expected


def test_the_last_order_is_written_and_corrected_before_the_end_of_the_calendar(calendar: Any) -> None:
    last_order = calendar.ends - 4 * HOUR - timedelta(minutes=1)  # shops close at eight
    for delay in (sample.LATE_WITHIN, sample.CORRECTED_WITHIN):
        assert calendar.period(last_order + delay).ends <= calendar.over


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("state", "arguments", "message"),
    [
        (None, ["--landing", "nowhere://landing"], "cannot open the landing zone nowhere://landing"),
        ("{", [], "is not a state file of the sample (JSONDecodeError"),
        ("{}", [], "is not a state file of the sample (KeyError: 'delivered_until')"),
        ('{"seed": 1, "days_ahead": 28, "anchor": "2026-11-18", "delivered_until": null}', ["--seed", "2"],
         "was created with --seed 1: remove --seed, or delete this landing zone"),
    ],
)  # fmt: skip
def test_a_user_error_is_one_line_with_the_remedy(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    state: str | None,
    arguments: list[str],
    message: str,
) -> None:
    if state is not None:
        (tmp_path / ".sample.json").write_text(state)
    assert sample.main(["--landing", str(tmp_path), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--now", "noon"], ["--follow", "0"], ["--follow", "1", "--now", "2026-11-18"]])
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        sample.main(arguments)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_delivers_every_new_hour_until_a_signal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    clock = iter(NOW + minutes * timedelta(minutes=1) for minutes in (0, 0, 30, 60, 90))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 3:
            signal.raise_signal(number)

    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(sample, "utc_now", lambda: next(clock))
    assert sample.main(["--landing", str(tmp_path), "--follow", "60"]) == 0
    _, first, *later = capsys.readouterr().out.splitlines()
    assert "up to 2026-11-18 13:00 UTC" in first
    assert [line.partition(" UTC")[0][-16:] for line in later] == ["2026-11-18 14:00"]
