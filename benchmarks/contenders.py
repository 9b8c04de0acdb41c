"""The contenders: plain dbt, the Dagster code from the tutorials, and this code location, each with a project copy."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from benchmarks.measure import Command, measure
from benchmarks.project import GROUPS, TESTS_A_MODEL, Size, kept_project

BIN = Path(sys.executable).parent
STOCK = Path(__file__).with_name("stock") / "definitions.py"

GROUP = GROUPS[-1]
"""The schedule group that is built: the downstream half."""

_CALLERS = ("ANALYTICS_", "DAGSTER_", "DBT_", "PYTHONDONTWRITEBYTECODE")
_LOAD = "import dagster as dg; {how}; dg.Definitions.validate_loadable(defs)"
_IN_PROCESS = "execution: {config: {in_process: {}}}\n"
_IN_PROCESS_FILE = "in_process.yaml"


@dataclass(frozen=True)
class Place:
    """The project copy of a contender, with a Dagster home."""

    project: Path

    @property
    def home(self) -> Path:
        """The Dagster home."""
        return self.project.parent / "home"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of its commands, without settings of the caller."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_CALLERS)}
        return {
            **inherited,
            "PATH": f"{BIN}{os.pathsep}{inherited.get('PATH', '')}",
            "DAGSTER_HOME": str(self.home),
            "ANALYTICS_DBT_PROJECT_DIR": str(self.project),
            "ANALYTICS_DBT_PROFILES_DIR": str(self.project),
            "ANALYTICS_SCHEDULE_GROUPS_FILE": str(self.project / "schedule_groups.yaml"),
            "ANALYTICS_DATA_DIR": str(self.project.parent / "data"),
        }

    def command(self, name: str, program: str, *arguments: str, folder: Path | None = None) -> Command:
        """Return a command with this environment."""
        return Command(name, (str(BIN / program), *arguments), self.environment, folder or self.project.parent)


@dataclass(frozen=True)
class Arena:
    """The project copies of all contenders for one size, parsed and built once."""

    folder: Path
    size: Size

    @classmethod
    def prepare(cls, folder: Path, size: Size) -> Arena:
        """Create the copies in a folder; each has its own warehouse with all tables."""
        arena = cls(folder / str(size.models), size)
        plain = arena.plain
        shutil.copytree(kept_project(size), plain.project, ignore=shutil.ignore_patterns("target", "logs"))
        measure(plain.command("the first dbt build", "dbt", "build", "--quiet", folder=plain.project))
        for place in (arena.ours, arena.stock):
            shutil.copytree(plain.project, place.project)
            place.home.mkdir()
        write_stock(arena.stock.project.parent)
        (arena.stock.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        (arena.stock.project.parent / _IN_PROCESS_FILE).write_text(_IN_PROCESS, encoding="utf-8")
        measure(arena.ours.command("prepare", "analytics-dagster", "prepare"))
        return arena

    @property
    def title(self) -> str:
        """The size of the built group."""
        return f"{self.size.group} models, {self.size.group * TESTS_A_MODEL} tests"

    @property
    def plain(self) -> Place:
        """The copy of plain dbt."""
        return Place(self.folder / "plain" / "project")

    @property
    def ours(self) -> Place:
        """The copy of this code location."""
        return Place(self.folder / "ours" / "project")

    @property
    def stock(self) -> Place:
        """The copy of the stock code."""
        return Place(self.folder / "stock" / "project")

    def dbt_build(self) -> Command:
        """Return plain dbt with the same selection, profile and threads, and a warm partial parse."""
        place = self.plain
        return place.command("dbt build", "dbt", "build", "--select", f"tag:{GROUP}", folder=place.project)

    def our_build(self) -> Command:
        """Return the command of this code location."""
        return self.ours.command("analytics-dagster build", "analytics-dagster", "build", "--group", GROUP)

    def stock_build(self, *, in_process: bool) -> Command:
        """Return Dagster's command for the stock code; the multiprocess executor is its default."""
        name = f"stock Dagster, {'in-process executor' if in_process else 'its default (multiprocess)'}"
        options = ["-c", _IN_PROCESS_FILE] if in_process else []
        return self.stock.command(name, "dagster", "job", "execute", "-f", "definitions.py", "-j", GROUP, *options)

    def require_equal_work(self) -> tuple[str, ...]:
        """Raise `RuntimeError` if our last run recorded less than plain dbt ran; return remarks on what stock omitted.

        Omitted work makes the figures of stock better, so a remark is enough.
        """
        ran = json.loads((self.plain.project / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
        kinds = Counter("tests" if result["unique_id"].startswith("test.") else "nodes" for result in ran)
        expected = (kinds["nodes"] - _hooks(ran), kinds["tests"])
        ours = _recorded(self.ours.home)
        if (ours.nodes, ours.tests) != expected:
            raise RuntimeError(f"dbt ran {expected} nodes and tests, but {self.ours.home} has {ours} of its last run.")
        stock = _recorded(self.stock.home)
        if (stock.nodes, stock.tests) != expected:
            remark = (
                f"dbt ran {expected} nodes and tests; of its last run the stock code recorded "
                f"{(stock.nodes, stock.tests)} as materializations and checks, and {stock.observed} tests as bare "
                "observations."
            )
            return (remark,)
        return ()


def _hooks(results: list[Mapping[str, str]]) -> int:
    return sum(result["unique_id"].startswith("operation.") for result in results)


@dataclass(frozen=True)
class Recorded:
    """The numbers of materialized nodes, evaluated checks, and tests recorded only as observations."""

    nodes: int
    tests: int
    observed: int


def _recorded(home: Path) -> Recorded:
    """Return the numbers for the last run in a Dagster home."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs(limit=1)

        def events(kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
            records = instance.get_records_for_run(run.run_id, of_type=kind).records
            return [record.event_log_entry.get_dagster_event() for record in records]

        # dagster-dbt observes each node that such a test reads, and names the test in the metadata.
        observed = {
            str(event.asset_observation_data.asset_observation.metadata["unique_id"].value)
            for event in events(dg.DagsterEventType.ASSET_OBSERVATION)
        }
        return Recorded(
            nodes=len(events(dg.DagsterEventType.ASSET_MATERIALIZATION)),
            tests=len(events(dg.DagsterEventType.ASSET_CHECK_EVALUATION)),
            observed=len(observed),
        )


def write_stock(folder: Path) -> Path:
    """Copy the stock code next to a folder `project`; return the file."""
    return Path(shutil.copy(STOCK, folder))


@dataclass(frozen=True)
class Loads:
    """The load of the code location by each contender, with one shared read-only manifest."""

    place: Place

    @classmethod
    def prepare(cls, folder: Path, size: Size) -> Loads:
        """Parse the cached project if needed; put the stock code next to a link to it."""
        project = kept_project(size)
        place = Place(folder / f"load-{size.models}" / "project")
        place.home.mkdir(parents=True)
        place.project.symlink_to(project, target_is_directory=True)
        write_stock(place.project.parent)
        kept = Place(project)
        measure(Command("prepare", (str(BIN / "analytics-dagster"), "prepare"), kept.environment, place.home))
        return cls(place)

    def ours(self) -> Command:
        """Return the load of this code location."""
        return self._python("this location", _LOAD.format(how="from analytics_dagster.definitions import defs"))

    def stock(self) -> Command:
        """Return the load of the stock code, as a code server and each run process do it."""
        return self._python("stock Dagster", _LOAD.format(how="from definitions import defs"))

    def libraries(self) -> Command:
        """Return the import of Dagster, which every code location needs."""
        return self._python("import dagster", "import dagster")

    def _python(self, name: str, code: str) -> Command:
        return self.place.command(name, Path(sys.executable).name, "-c", code)
