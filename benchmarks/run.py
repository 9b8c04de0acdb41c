"""What Dagster adds: the load of the location against its libraries' import, and a group's build against plain dbt.

Usage: python -m benchmarks.run [--pairs N]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Command, compare, measure, print_table

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def main() -> None:
    """Measure in a warehouse, a landing zone and a Dagster home of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=3, help="how often each command runs, alternately")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("ANALYTICS_", "DAGSTER_"))},
            "ANALYTICS_DBT_PROJECT_DIR": str(ROOT / "dbt_project"),
            "ANALYTICS_DBT_TARGET_PATH": str(folder / "target"),
            "ANALYTICS_DATA_DIR": str(folder / "data"),
            "ANALYTICS_WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
            "DAGSTER_HOME": str(folder / "home"),
        }

        def command(name: str, *arguments: str, where: Path = ROOT) -> Command:
            return Command(name, arguments, environment, where)

        landing = str(folder / "data" / "landing")
        print("Building the bundled shop once", flush=True)
        measure(command("the sample", sys.executable, "scripts/sample_data.py", "--landing", landing))
        measure(command("the first build", str(BIN / "analytics-dagster"), "build"))
        [hourly] = (folder / "target" / "runs").glob("*-dbt_hourly")
        print(f"Measuring {pairs} pairs of each", flush=True)
        results = [
            compare(
                "load",
                command("the code location", sys.executable, "-c", "import analytics_dagster.definitions"),
                command("import dagster, dagster_dbt", sys.executable, "-c", "import dagster, dagster_dbt"),
                pairs=pairs,
            ),
            compare(
                "build of the group hourly",
                command("analytics-dagster build", str(BIN / "analytics-dagster"), "build", "--group", "hourly"),
                command(
                    "dbt build",
                    *(
                        str(BIN / "dbt"),
                        "build",
                        "--target-path",
                        str(folder / "plain"),
                        "--no-send-anonymous-usage-stats",
                    ),
                    *("--select", "result:success", "--state", str(hourly / "selection")),
                    *("--indirect-selection", "empty"),
                    where=ROOT / "dbt_project",
                ),
                pairs=pairs,
            ),
        ]
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "duckdb")
    )
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {versions}")
    print_table(results)


if __name__ == "__main__":
    main()
