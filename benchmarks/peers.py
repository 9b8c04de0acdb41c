"""Measures other orchestrators of dbt on the same project, each in a separate environment: prefect-dbt and Cosmos.

Usage: python -m benchmarks.peers [--pairs N] [--models N]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.contenders import BIN, GROUP, Arena, Place
from benchmarks.measure import Command, Comparison, compare, measure
from benchmarks.project import CACHE, GROUPS, Size
from benchmarks.report import machine, table_of

HERE = Path(__file__).with_name("peers")

_DBT = tuple(f"{name}=={version(name)}" for name in ("dbt-core", "dbt-duckdb", "duckdb"))


class NotInstallableError(Exception):
    """A peer cannot be installed; the message is the end of the installer's output."""


@dataclass(frozen=True)
class Peer:
    """An orchestrator: its packages, and the commands that build the group in its project copy."""

    name: str
    requirements: Sequence[str]
    commands: Callable[[Place, Path], Sequence[Command]]

    def install(self) -> Path:
        """Install the packages if needed; return the folder of the programs; raise `NotInstallableError`."""
        folder = CACHE / "peers" / self.name
        programs = folder / "bin"
        done = folder / "requirements.txt"
        wanted = "\n".join(self.requirements)
        if done.exists() and done.read_text(encoding="utf-8") == wanted:
            return programs
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = subprocess.run(
            [programs / "python", "-m", "pip", "install", "--quiet", *self.requirements],
            capture_output=True,
            text=True,
            check=False,
        )
        if pip.returncode != 0:
            raise NotInstallableError("\n".join(pip.stderr.strip().splitlines()[-3:]))
        done.write_text(wanted, encoding="utf-8")
        return programs


def _prefect(place: Place, programs: Path) -> Sequence[Command]:
    environment = {
        **place.environment,
        "PATH": f"{programs}:{place.environment['PATH']}",
        "PREFECT_HOME": str(place.home),
        # Prefect starts a server for each flow run; on a slow machine that takes longer than its limit of 20 seconds.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    ways = {"operation": "DbtCoreOperation", "runner": "PrefectDbtRunner", "waves": "PrefectDbtOrchestrator, waves"}
    return [
        Command(
            f"prefect-dbt {version_of(programs, 'prefect-dbt')}, {name}",
            (str(programs / "python"), str(HERE / "prefect_flows.py"), way, str(place.project), f"tag:{GROUP}"),
            environment,
            place.project.parent,
        )
        for way, name in ways.items()
    ]


def _cosmos(place: Place, programs: Path) -> Sequence[Command]:
    dags = place.project.parent / "dags"
    dags.mkdir()
    shutil.copy(HERE / "cosmos_dag.py", dags)
    environment = {
        **place.environment,
        "PATH": f"{programs}:{place.environment['PATH']}",
        "AIRFLOW_HOME": str(place.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "false",
        "BENCHMARK_PROJECT": str(place.project),
        "BENCHMARK_SELECTION": f"tag:{GROUP}",
        "BENCHMARK_DBT": str(BIN / "dbt"),
    }
    airflow = str(programs / "airflow")
    measure(Command("airflow db migrate", (airflow, "db", "migrate"), environment, place.project.parent))
    name = f"Cosmos {version_of(programs, 'astronomer-cosmos')}, one task per model (airflow dags test)"
    return [Command(name, (airflow, "dags", "test", GROUP), environment, place.project.parent)]


PEERS = (
    # FastAPI 0.165 removes a function that Prefect 3.8 uses.
    Peer("prefect-dbt", ("prefect-dbt>=0.7", "fastapi<0.160", *_DBT), _prefect),
    Peer("cosmos", ("astronomer-cosmos>=1.10", "apache-airflow>=3,<4"), _cosmos),
)


def version_of(programs: Path, name: str) -> str:
    """Return the version of a package in a peer's environment."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.check_output([programs / "python", "-c", code], text=True).strip()


def compare_peers(arena: Arena, pairs: int) -> Iterator[Comparison]:
    """Yield a table for each peer that can be installed; print the reason for the others."""
    for peer in PEERS:
        print(f"Installing {peer.name}", flush=True)
        try:
            programs = peer.install()
        except NotInstallableError as error:
            print(f"{peer.name} cannot be installed:\n{error}", flush=True)
            continue
        place = Place(arena.folder / peer.name / "project")
        shutil.copytree(arena.plain.project, place.project)
        place.home.mkdir()
        measured = [compare(command, arena.dbt_build(), pairs=pairs) for command in peer.commands(place, programs)]
        yield Comparison(f"Build of a group by {peer.name}: {arena.title}", measured)


def main() -> None:
    """Measure every peer, and print the tables as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=3, help="number of pairs with plain dbt")
    parser.add_argument("--models", type=int, default=60, help="models of the group")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        arena = Arena.prepare(Path(name), Size(arguments.models * len(GROUPS)))
        for comparison in compare_peers(arena, arguments.pairs):
            print(f"\n{table_of(comparison)}\n", flush=True)
    print(machine())


if __name__ == "__main__":
    sys.exit(main())
