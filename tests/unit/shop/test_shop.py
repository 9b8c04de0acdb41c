"""The shop's consumers: imports, and projects without its models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.assets.consumers import Consumer, build_consumers
from analytics_dagster.assets.marts import Mart
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.warehouse import Table
from analytics_dagster.warehouse.folder import Folder

pytestmark = pytest.mark.slow


HEAVY = {"duckdb", "fsspec.implementations.s3", "matplotlib", "numpy", "pandas", "pyarrow", "sklearn"}


def mart(name: str, group: str = "nightly") -> Mart:
    return Mart(name, dg.AssetKey(name), Table("marts", name), group)


def build(
    marts: Sequence[Mart], *, consumers: Sequence[Consumer] = CONSUMERS, folder: Path = Path("unused"), **others: Any
) -> Any:
    return build_consumers(
        consumers,
        {mart.name: mart for mart in marts},
        group_order=["hourly", "nightly"],
        blocking_checks=others.get("blocking_checks", {}),
        reports=Folder(str(folder / "reports")),
        outbound=Folder(str(folder / "outbound")),
    )


def test_importing_the_consumers_imports_none_of_their_libraries() -> None:
    code = "import sys, analytics_dagster.shop; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(modules)


def test_without_the_shops_marts_every_consumer_is_skipped() -> None:
    built = build([mart("somebody_elses")])
    assert built.assets == ()
    assert built.started_with == {}
    assert set(built.skipped) == {consumer.name for consumer in CONSUMERS}
