"""The measured dbt project: two schedule groups of the same size, with any number of models.

Writing 10,000 models takes seconds and dbt's first parse of them minutes, so a project is kept, parsed, in a folder
that git does not see, for as long as it would be written in the same way.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import generate
from benchmarks.generate import Drawn, DrawnTest, Node

CACHE = Path(__file__).with_name(".cache")
"""The cache of projects between calls."""

GROUPS = ("hourly", "nightly")
"""The schedule groups, upstream first; each is a tag, and every node has one."""

TESTS_A_MODEL = 2
_MODELS_A_LAYER = 50
_SOURCES = 5
_SEEDS = 3


@dataclass(frozen=True)
class Size:
    """The number of models in the project; each group has half of them."""

    models: int

    @property
    def group(self) -> int:
        """The number of models per group."""
        return self.models // len(GROUPS)


_SAMPLE = Size(200)
"""A project of this size represents the generator for all sizes."""


def draw(size: Size) -> Drawn:
    """Generate the project: models in layers, and tests within one group, so that all contenders run the same tests.

    A test that crosses groups is run by dbt in both, by the tutorials' code sometimes by none: no baseline.
    """
    chance = random.Random(size.models)  # noqa: S311 - a benchmark, not a secret
    nodes = {f"source_{number:03}": Node(f"source_{number:03}", "source", "", None) for number in range(_SOURCES)}
    for number in range(_SEEDS):
        nodes[f"seed_{number:03}"] = Node(f"seed_{number:03}", "seed", "seed", 0, tags=(GROUPS[0],))
    readable = list(nodes)
    for rank, tag in enumerate(GROUPS):
        for start in range(0, size.group, _MODELS_A_LAYER):
            layer = [
                _model(chance, rank * size.group + number, rank, readable)
                for number in range(start, min(size.group, start + _MODELS_A_LAYER))
            ]
            nodes |= {node.name: node for node in layer}
            readable += [node.name for node in layer]
        name = f"snapshot_{rank:03}"
        nodes[name] = Node(name, "snapshot", "snapshot", rank, (readable[-1],), (tag,))
    tests = [
        test
        for rank in range(len(GROUPS))
        for test in _tests(chance, rank, [node for node in nodes.values() if node.group == rank], size.group)
    ]
    return Drawn(nodes, {test.name: test for test in tests})


def _model(chance: random.Random, number: int, rank: int, readable: list[str]) -> Node:
    reads = tuple(sorted(set(chance.choices(readable[-2 * _MODELS_A_LAYER :], k=chance.randint(1, 3)))))
    materialized = chance.choices(("view", "table", "incremental"), (5, 4, 1))[0]
    return Node(
        f"model_{number:05}", "model", materialized, rank, reads, (GROUPS[rank],), layer=number // _MODELS_A_LAYER
    )


def _tests(chance: random.Random, rank: int, nodes: list[Node], models: int) -> list[DrawnTest]:
    names = [node.name for node in nodes]
    found = []
    for number in range(models * TESTS_A_MODEL):
        kind = chance.choices(("unique", "not_null", "relationships", "singular"), (8, 8, 3, 1))[0]
        reads = chance.sample(names, k=min(len(names), {"relationships": 2, "singular": 3}.get(kind, 1)))
        found.append(DrawnTest(f"test_{rank}_{number:05}", kind, tuple(reads)))
    return found


def write(size: Size, folder: Path) -> None:
    """Write the project and a profile with a DuckDB file into an empty folder."""
    generate.write(draw(size), folder)
    with (folder / "dbt_project.yml").open("a", encoding="utf-8") as project:
        # A second build of an incremental model must not duplicate rows, because its tests would fail.
        project.write("models: {+unique_key: id}\n")
    lines = ["groups:"]
    for place, name in enumerate(GROUPS):
        lines += [f"  - name: {name}", f"    select: tag:{name}", f'    cron: "0 {place} * * *"']
    (folder / "schedule_groups.yaml").write_text("\n".join([*lines, ""]), encoding="utf-8")


def kept_project(size: Size) -> Path:
    """Return the cached folder of the project; write it if needed. dbt's parse is kept in this folder."""
    folder = CACHE / f"{size.models}-{_generator_key()}"
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
        for stale in CACHE.glob(f"{size.models}-*"):
            shutil.rmtree(stale)
        partial = CACHE / f"new-{size.models}"
        shutil.rmtree(partial, ignore_errors=True)
        write(size, partial)
        partial.rename(folder)
    return folder


def _generator_key() -> str:
    """Return a key that changes with the generator and the version of dbt."""
    digest = hashlib.sha256(version("dbt-core").encode())
    with tempfile.TemporaryDirectory() as name:
        write(_SAMPLE, Path(name))
        for path in sorted(path for path in Path(name).rglob("*") if path.is_file()):
            digest.update(path.relative_to(name).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
