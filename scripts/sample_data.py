#!/usr/bin/env python
"""Write the operational data of the jaffle shop, up to the current hour, as files into the landing zone.

`jafgen` simulates one year from a seed. The year is shifted so that it ends some weeks in the future. The first run
stores this calendar next to the files (`.sample.json`); later runs write the data since the previous run.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import io
import json
import os
import random
import shlex
import signal
import sys
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from faker import Faker
from fsspec.implementations.local import LocalFileSystem
from jafgen.curves import Day
from jafgen.simulation import Simulation
from jafgen.stores.inventory import Inventory
from jafgen.stores.stock import Stock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jafgen.customers.order import Order
    from jafgen.customers.tweet import Tweet
    from jafgen.stores.store import Store

DEFAULT_LANDING = Path(__file__).resolve().parents[1] / "data" / "landing"
DEFAULT_SEED = 42
DEFAULT_DAYS_AHEAD = 28
STATE_FILE = ".sample.json"

YEAR = 365
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)

TILL_OFFLINE = 0.01  # the share of orders that first arrive without their tax
CORRECTED_WITHIN = 36 * HOUR
LATE = 0.005  # the share of orders that arrive late
LATE_WITHIN = 2 * DAY
RENAMED = 0.05  # the share of customers that change their name, a week after their first order or later
NEW_COSTS_A_WEEK = 3
PRICE_LIST = timedelta(hours=6, minutes=30)  # new supply costs hold from Monday at this hour
IDS = uuid.UUID("6c1f0f5e-9d0b-4d0e-8d3c-2f5f6f3f7a10")


class SampleDataError(Exception):
    """An error that the user can fix; the message states the remedy."""


# --- command line ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data once, or repeatedly with `--follow`; return the exit code."""
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: background jobs of a shell ignore it
        signal.signal(number, signal.default_int_handler)
    try:
        landing = open_landing(options.landing)
        state = begin(landing, now=options.now or utc_now(), seed=options.seed, days_ahead=options.days_ahead)
        files: list[File] = []
        if options.follow or may_have_more(state, options.now or utc_now()):
            say(f"Simulating a year of the jaffle shop (seed {state.seed}) ...")
            files = plan(simulate(state.seed), state.calendar)
        printed = report = deliver(landing, files, options.now or utc_now())
        say(report.text)
        while options.follow:
            time.sleep(options.follow)
            report = deliver(landing, files, utc_now())
            if report.files or report.finished != printed.finished:
                say(report.text)
                printed = report
    except KeyboardInterrupt:
        return 0 if options.follow else 130
    except (SampleDataError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line options; an invalid option exits with a usage message."""
    parser = argparse.ArgumentParser(description="Write the data of the jaffle shop up to the current hour.")
    parser.add_argument("--landing", default=str(DEFAULT_LANDING), help="a folder or any fsspec URL")
    parser.add_argument("--seed", type=int, help=f"seed of the simulated year; set by the first run ({DEFAULT_SEED})")
    parser.add_argument("--now", type=moment, metavar="ISO", help="write data up to this time instead of now")
    parser.add_argument(
        "--days-ahead",
        type=int,
        choices=range(YEAR),
        metavar="DAYS",
        help=f"how many days after the first run the year ends; set by that run ({DEFAULT_DAYS_AHEAD})",
    )
    parser.add_argument("--follow", type=float, metavar="SECONDS", help="repeat after this many seconds")
    options = parser.parse_args(arguments)
    if options.follow is not None and options.follow <= 0:
        parser.error("--follow must be more than 0 seconds")
    if options.follow and options.now:
        parser.error("--follow uses the current time: remove --now")
    return options


def moment(text: str) -> datetime:
    """Return the UTC time of an ISO string; a string without a zone is UTC."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not support Z
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(tz=timezone.utc)


def say(line: str) -> None:
    """Print one line without buffering."""
    print(line, flush=True)


# --- writing files ---------------------------------------------------------------------------------------------


def begin(landing: Landing, *, now: datetime, seed: int | None, days_ahead: int | None) -> State:
    """Return the state of the landing zone; the first run stores the calendar before it writes any file.

    Raises `SampleDataError` if the seed or the number of days differs from that of the first run.
    """
    with landing.locked():
        state = landing.load_state()
        if state is None:
            state = State(
                seed=DEFAULT_SEED if seed is None else seed,
                days_ahead=DEFAULT_DAYS_AHEAD if days_ahead is None else days_ahead,
                anchor=now.date(),
                delivered_until=None,
            )
            landing.save_state(state)
    options = (("--seed", seed, state.seed), ("--days-ahead", days_ahead, state.days_ahead))
    for option, requested, stored in options:
        if requested not in (None, stored):
            message = f"{landing} was created with {option} {stored}: remove {option}, or {landing.restart}"
            raise SampleDataError(message)
    return state


def may_have_more(state: State, now: datetime) -> bool:
    """Whether there can be new data since the last run. If not, no simulation is needed."""
    done = state.delivered_until
    return done is None or done < min(whole_hour(now), state.calendar.over)


def deliver(landing: Landing, files: Sequence[File], now: datetime) -> Report:
    """Write the files that are due since the last run, then store the time of this run.

    A killed run has not stored its time: the next run writes the same files again, and the missing ones.
    """
    until = whole_hour(now)
    with landing.locked():
        state = landing.load_state()
        if state is None:
            message = f"{landing.url(STATE_FILE)} was deleted while this command ran: start it again"
            raise SampleDataError(message)
        since = state.delivered_until
        chosen = due(files, since, until)
        for file in chosen:
            landing.write(file.path, file.content())
        if since is None or until > since:
            landing.save_state(replace(state, delivered_until=until))
    rows = Counter({table.name: 0 for table in TABLES})
    for file in chosen:
        rows[file.table.name] += len(file.rows)
    return Report(
        landing=landing,
        since=since,
        until=until,
        files=len(chosen),
        rows=rows,
        finished=max(until, since or until) >= state.calendar.over,
    )


@dataclass(frozen=True)
class Report:
    """The result of one run."""

    landing: Landing
    since: datetime | None
    until: datetime
    files: int
    rows: Counter[str]
    finished: bool

    @property
    def text(self) -> str:
        """The report in one line, or in two after the end of the year."""
        if self.files:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.rows.items())
            line = f"{self.landing}: {self.files:,} new files up to {self.until:%Y-%m-%d %H:%M} UTC: {counts}"
        else:
            line = f"{self.landing}: nothing new since {self.since or self.until:%Y-%m-%d %H:%M} UTC"
        over = f"\nThe year of the shop is over, and all files are written. For a new year, {self.landing.restart}"
        return line + over * self.finished


@dataclass(frozen=True)
class State:
    """The calendar that the first run set, and the time up to which files are written."""

    seed: int
    days_ahead: int
    anchor: date
    delivered_until: datetime | None

    @property
    def calendar(self) -> Calendar:
        """The calendar that the first run set."""
        return Calendar(seed=self.seed, days_ahead=self.days_ahead, anchor=self.anchor)

    def to_json(self) -> str:
        """Return the content of the state file."""
        return json.dumps(asdict(self), default=str, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> State:
        """Return the state in the content of a state file.

        Raises `ValueError`, `KeyError` or `TypeError` if the content is invalid.
        """
        held = json.loads(text)
        until = held["delivered_until"]
        return cls(
            seed=int(held["seed"]),
            days_ahead=int(held["days_ahead"]),
            anchor=date.fromisoformat(held["anchor"]),
            delivered_until=until and moment(until),
        )


def open_landing(url: str) -> Landing:
    """Return the landing zone at a path or an fsspec URL; raises `SampleDataError` if it cannot be opened."""
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        message = f"cannot open the landing zone {url}: {error}"
        raise SampleDataError(message) from error
    return Landing(filesystem=filesystem, root=root)


@dataclass(frozen=True)
class Landing:
    """The landing zone. Files are written atomically."""

    filesystem: Any
    root: str

    def __str__(self) -> str:
        """Return the URL, or the path of a local folder."""
        return self.root if self.is_local else str(self.filesystem.unstrip_protocol(self.root))

    @property
    def is_local(self) -> bool:
        """Whether it is a local folder."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def restart(self) -> str:
        """How to start again, as the end of a sentence."""
        how = f"rm -r {shlex.quote(self.root)}" if self.is_local else f"all files in {self}"
        return f"delete this landing zone ({how}) and the warehouse loaded from it, then run again."

    def url(self, path: str) -> str:
        """Return the URL or path of a file in it."""
        return f"{self.root}/{path}"

    def write(self, path: str, content: bytes) -> None:
        """Write a file atomically."""
        if not self.is_local:
            self.filesystem.pipe_file(self.url(path), content)  # object stores write atomically
            return
        target = Path(self.url(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")  # the next run replaces the file of a killed run
        part.write_bytes(content)
        part.replace(target)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other runs on this machine. In a bucket, two runs are harmless: they write the same bytes."""
        if not self.is_local:
            yield
            return
        import fcntl  # only on Unix

        Path(self.root).mkdir(parents=True, exist_ok=True)
        folder = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def load_state(self) -> State | None:
        """Return the stored state, or None before the first run."""
        address = self.url(STATE_FILE)
        if not self.filesystem.exists(address):
            return None
        try:
            return State.from_json(self.filesystem.cat_file(address).decode())
        except (ValueError, KeyError, TypeError) as error:
            message = f"{address} is not a state file of the sample ({type(error).__name__}: {error}); {self.restart}"
            raise SampleDataError(message) from error

    def save_state(self, state: State) -> None:
        """Store the state."""
        self.write(STATE_FILE, state.to_json().encode())


# --- planning: which file contains which row ---------------------------------------------------------------


@dataclass(frozen=True)
class Calendar:
    """The real dates of the simulated year, and the day from which files are hourly."""

    seed: int
    days_ahead: int
    anchor: date

    @cached_property
    def shift(self) -> timedelta:
        """The shift from jafgen's year to the real one, in whole weeks, so that weekdays do not change."""
        ends = midnight(self.anchor) + self.days_ahead * DAY
        return round((ends - self._simulated_end) / WEEK) * WEEK

    @property
    def starts(self) -> datetime:
        """The start of the year."""
        return self._simulated_end - YEAR * DAY + self.shift

    @property
    def ends(self) -> datetime:
        """The end of the year."""
        return self._simulated_end + self.shift

    @property
    def over(self) -> datetime:
        """The time after which no late order of the year arrives."""
        return self.ends + LATE_WITHIN

    @property
    def _simulated_end(self) -> datetime:
        return utc(Day.EPOCH) + YEAR * DAY

    def at(self, simulated: datetime) -> datetime:
        """Return the real time of a time in jafgen's year, which has no zone."""
        return utc(simulated) + self.shift

    def period(self, happened: datetime) -> Period:
        """Return the day or hour whose file contains the events of a time."""
        if happened.date() < self.anchor:
            return Period(midnight(happened.date()), DAY)
        return Period(whole_hour(happened), HOUR)

    def draws(self, purpose: str) -> random.Random:
        """Return the random generator for one purpose, so that a change of one does not change the others."""
        return random.Random(f"{self.seed}/{purpose}")


@dataclass(frozen=True)
class Period:
    """A day or an hour."""

    starts: datetime
    length: timedelta

    @property
    def ends(self) -> datetime:
        """The first time after the period; its files are due then."""
        return self.starts + self.length

    @property
    def label(self) -> str:
        """The period as a part of file names."""
        return f"{self.starts:%Y-%m-%d}" if self.length == DAY else f"{self.starts:%Y-%m-%dT%H}"


@dataclass(frozen=True)
class Table:
    """A table of the shop's operational system, and its file format."""

    name: str
    format: Literal["csv", "parquet"]
    schema: pa.Schema


@dataclass(frozen=True)
class Row:
    """A version of a row: values in the order of the table's schema, and the time when it arrives."""

    table: Table
    arrives_at: datetime
    values: tuple[object, ...]


@dataclass(frozen=True)
class File:
    """The rows of one table that arrive within one period."""

    table: Table
    period: Period
    rows: tuple[Row, ...]

    @property
    def path(self) -> str:
        """The path in the landing zone."""
        name = self.table.name
        return f"{name}/{self.period.starts:%Y/%m/%d}/{name}-{self.period.label}.{self.table.format}"

    def content(self) -> bytes:
        """Return the content; the same rows give the same bytes."""
        return (csv_content if self.table.format == "csv" else parquet_content)(self.table.schema, self.rows)


def plan(shop: Shop, calendar: Calendar) -> list[File]:
    """Return all files of the year in the order in which they are due, referenced tables first."""
    rows: dict[tuple[Period, str], list[Row]] = defaultdict(list)
    for row in history(shop, calendar):
        rows[calendar.period(row.arrives_at), row.table.name].append(row)
    rank = {table.name: number for number, table in enumerate(TABLES)}
    return [
        File(TABLES[rank[name]], period, tuple(sorted(arrived, key=lambda row: row.arrives_at)))
        for (period, name), arrived in sorted(rows.items(), key=lambda one: (one[0][0].ends, rank[one[0][1]]))
    ]


def due(files: Iterable[File], since: datetime | None, until: datetime) -> list[File]:
    """Return the files whose period ended after `since` (None: any time) and not after `until`."""
    over = [file for file in files if file.period.ends <= until]
    return [file for file in over if since is None or file.period.ends > since]


def csv_content(schema: pa.Schema, rows: Iterable[Row]) -> bytes:
    """Return the rows as CSV with a header; times are ISO 8601, booleans lower case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(schema.names)
    writer.writerows([csv_value(value) for value in row.values] for row in rows)
    return text.getvalue().encode()


def csv_value(value: object) -> object:
    """Return a value in its CSV form."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else value


def parquet_content(schema: pa.Schema, rows: Iterable[Row]) -> bytes:
    """Return the rows as Parquet."""
    columns = zip(*(row.values for row in rows), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink)
    return sink.getvalue()


# --- the shop's history: every version of every row ---------------------------------------------------------

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
CENTS = pa.int64()

PRODUCTS = Table(
    "products",
    "csv",
    pa.schema(
        {"sku": TEXT, "name": TEXT, "type": TEXT, "price": CENTS, "description": TEXT, "updated_at": TIME},
    ),
)
STORES = Table(
    "stores",
    "csv",
    pa.schema({"id": TEXT, "name": TEXT, "opened_at": TIME, "tax_rate": pa.float64(), "updated_at": TIME}),
)
SUPPLIES = Table(
    "supplies",
    "csv",
    pa.schema(
        {"id": TEXT, "name": TEXT, "cost": CENTS, "perishable": pa.bool_(), "sku": TEXT, "updated_at": TIME},
    ),
)
CUSTOMERS = Table(
    "customers",
    "csv",
    pa.schema({"id": TEXT, "name": TEXT, "created_at": TIME, "updated_at": TIME}),
)
ORDERS = Table(
    "orders",
    "parquet",
    pa.schema(
        {
            "id": TEXT,
            "customer": TEXT,
            "ordered_at": TIME,
            "store_id": TEXT,
            "subtotal": CENTS,
            "tax_paid": CENTS,
            "order_total": CENTS,
            "updated_at": TIME,
        },
    ),
)
ITEMS = Table("items", "parquet", pa.schema({"id": TEXT, "order_id": TEXT, "sku": TEXT, "updated_at": TIME}))
TWEETS = Table(
    "tweets",
    "parquet",
    pa.schema({"id": TEXT, "user_id": TEXT, "tweeted_at": TIME, "content": TEXT}),
)

TABLES = (PRODUCTS, STORES, SUPPLIES, CUSTOMERS, ORDERS, ITEMS, TWEETS)


def history(shop: Shop, calendar: Calendar) -> Iterator[Row]:
    """Yield every version of every row of the shop's year."""
    customers = first_orders(shop.orders)
    customer_ids = {key: stable_id("customers", number) for number, key in enumerate(customers)}
    store_ids = {store.store_id: stable_id("stores", number) for number, store in enumerate(shop.stores)}
    placed = placed_orders(shop.orders, calendar)

    yield from product_rows(calendar)
    yield from store_rows(shop.stores, store_ids, calendar)
    yield from supply_rows(calendar)
    yield from customer_rows(customers, customer_ids, calendar)
    yield from order_rows(placed, customer_ids, store_ids)
    yield from item_rows(placed)
    yield from tweet_rows(shop.tweets, customer_ids, calendar)


def product_rows(calendar: Calendar) -> Iterator[Row]:
    """Yield the menu. It never changes, because the orders of jafgen use its prices."""
    for product in Inventory.to_dict():
        values = tuple(product[column] for column in PRODUCTS.schema.names[:-1])
        yield Row(PRODUCTS, calendar.starts, (*values, calendar.starts))


def store_rows(stores: Iterable[Store], store_ids: dict[str, str], calendar: Calendar) -> Iterator[Row]:
    """Yield each store on its opening day, if that is within the year."""
    for store in stores:
        opened_at = calendar.at(store.opened_date.date)
        if opened_at < calendar.ends:
            values = (store_ids[store.store_id], store.name, opened_at, store.tax_rate, opened_at)
            yield Row(STORES, opened_at, values)


def supply_rows(calendar: Calendar) -> Iterator[Row]:
    """Yield all supplies at the start of the year, then every Monday the supplies with a new cost."""
    draws = calendar.draws("supply costs")
    supplies = Stock.to_dict()
    first_cost = {supply["id"]: supply["cost"] for supply in supplies}
    cost = dict(first_cost)
    yield from supply_versions(supplies, cost, calendar.starts)
    monday = calendar.starts + (7 - calendar.starts.weekday()) % 7 * DAY + PRICE_LIST
    while monday < calendar.ends:
        changed = draws.sample(list(cost), NEW_COSTS_A_WEEK)
        for supply_id in changed:
            drawn = round(first_cost[supply_id] * draws.uniform(0.8, 1.3))
            cost[supply_id] = drawn if drawn != cost[supply_id] else drawn + 1
        changed_supplies = [supply for supply in supplies if supply["id"] in changed]
        yield from supply_versions(changed_supplies, cost, monday)
        monday += WEEK


def supply_versions(
    supplies: Iterable[dict[str, Any]],
    cost: dict[str, int],
    updated_at: datetime,
) -> Iterator[Row]:
    """Yield the supplies as of a time, one row for each product that needs them."""
    for supply in supplies:
        perishable = supply["perishable"] == "True"
        head = (supply["id"], supply["name"], cost[supply["id"]])
        yield Row(SUPPLIES, updated_at, (*head, perishable, supply["sku"], updated_at))


def customer_rows(
    customers: dict[str, Order],
    customer_ids: dict[str, str],
    calendar: Calendar,
) -> Iterator[Row]:
    """Yield each customer at the first order, and again if the customer changes the name."""
    draws = calendar.draws("customer names")
    names = Faker()
    names.seed_instance(calendar.seed)
    for key, order in customers.items():
        customer_id, name = customer_ids[key], order.customer.name
        created_at = calendar.at(order.order_time.date)
        yield Row(CUSTOMERS, created_at, (customer_id, name, created_at, created_at))
        renamed, when = draws.random() < RENAMED, draws.random()
        if renamed and created_at + WEEK < calendar.ends:
            updated_at = between(created_at + WEEK, calendar.ends, when)
            new_name = " ".join([*name.split()[:-1], names.last_name()])
            yield Row(CUSTOMERS, updated_at, (customer_id, new_name, created_at, updated_at))


def order_rows(
    placed: Iterable[PlacedOrder],
    customer_ids: dict[str, str],
    store_ids: dict[str, str],
) -> Iterator[Row]:
    """Yield each order. Orders of an offline till come twice: without the tax, then corrected."""
    for one in placed:
        cents = one.order.to_dict()
        customer, store = customer_ids[one.order.customer.customer_id], store_ids[one.order.store.store_id]
        head = (one.id, customer, one.ordered_at, store, cents["subtotal"])
        right = (cents["tax_paid"], cents["order_total"])
        if one.corrected_at:
            yield Row(ORDERS, one.arrives_at, (*head, 0, cents["subtotal"], one.ordered_at))
            yield Row(ORDERS, one.corrected_at, (*head, *right, one.corrected_at))
        else:
            yield Row(ORDERS, one.arrives_at, (*head, *right, one.ordered_at))


def item_rows(placed: Iterable[PlacedOrder]) -> Iterator[Row]:
    """Yield the items of each order; they arrive with the order."""
    number = 0
    for one in placed:
        for item in one.order.items:
            values = (stable_id("items", number), one.id, item.item.sku, one.ordered_at)
            yield Row(ITEMS, one.arrives_at, values)
            number += 1


def tweet_rows(tweets: Iterable[Tweet], customer_ids: dict[str, str], calendar: Calendar) -> Iterator[Row]:
    """Yield each tweet."""
    for number, tweet in enumerate(tweets):
        tweeted_at = calendar.at(tweet.tweeted_at)
        user_id = customer_ids[tweet.customer.customer_id]
        yield Row(TWEETS, tweeted_at, (stable_id("tweets", number), user_id, tweeted_at, tweet.content))


def first_orders(orders: Iterable[Order]) -> dict[str, Order]:
    """Return the first order of each customer, by jafgen's customer id."""
    first: dict[str, Order] = {}
    for order in orders:
        first.setdefault(order.customer.customer_id, order)
    return first


@dataclass(frozen=True)
class PlacedOrder:
    """An order of jafgen with a stable id, and the times when it arrives and is corrected."""

    id: str
    order: Order
    ordered_at: datetime
    arrives_at: datetime
    corrected_at: datetime | None


def placed_orders(orders: Iterable[Order], calendar: Calendar) -> list[PlacedOrder]:
    """Return the orders with their arrival: most arrive at once, a few late, a few first without their tax.

    A late or corrected order arrives in a later file than that of its own hour (or day, before the anchor).
    """
    draws = calendar.draws("order fates")
    placed = []
    for number, order in enumerate(orders):
        kind, when = draws.random(), draws.random()
        ordered_at = calendar.at(order.order_time.date)
        next_file = calendar.period(ordered_at).ends
        arrives_at, corrected_at = ordered_at, None
        if kind < LATE:
            arrives_at = between(next_file, ordered_at + LATE_WITHIN, when)
        elif kind < LATE + TILL_OFFLINE and order.items:  # jafgen also has orders without items
            corrected_at = between(max(next_file, ordered_at + HOUR), ordered_at + CORRECTED_WITHIN, when)
        placed.append(PlacedOrder(stable_id("orders", number), order, ordered_at, arrives_at, corrected_at))
    return placed


def stable_id(table: str, number: int) -> str:
    """Return a stable id for the row at a position of a table; jafgen's ids are random."""
    return str(uuid.uuid5(IDS, f"{table}/{number}"))


def between(earliest: datetime, latest: datetime, share: float) -> datetime:
    """Return the time at a share of an interval, in whole seconds."""
    return (earliest + (latest - earliest) * share).replace(microsecond=0)


def midnight(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def whole_hour(at: datetime) -> datetime:
    """Return the start of the hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def utc(naive: datetime) -> datetime:
    """Return jafgen's time, which has no zone, as UTC."""
    return naive.replace(tzinfo=timezone.utc)


# --- simulating ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """The result of the simulation: jafgen's objects in chronological order, in jafgen's time."""

    stores: tuple[Store, ...]
    orders: tuple[Order, ...]
    tweets: tuple[Tweet, ...]


def simulate(seed: int, days: int = YEAR) -> Shop:
    """Return the first days of the shop. The same seed gives the same result, except for jafgen's random ids."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - jafgen draws from numpy's global generator
    Faker.seed(seed)
    markets = Simulation(years=1, prefix="").markets
    happened = [pair for day in range(days) for market in markets for pair in market.sim_day(QuickDay(day))]
    return Shop(
        stores=tuple(market.store for market in markets),
        orders=tuple(order for order, _ in happened if order),
        tweets=tuple(tweet for _, tweet in happened if tweet),
    )


class QuickDay(Day):  # type: ignore[misc]
    """A day that calculates its demand curves once. jafgen does so for every order, half of its time."""

    def at_minute(self, minutes: int) -> QuickDay:
        """Return this day at a minute."""
        at = copy.copy(self)
        at.date = self.EPOCH + timedelta(days=self.date_index, minutes=minutes)
        return at


if __name__ == "__main__":
    sys.exit(main())
