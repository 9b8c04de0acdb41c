"""Generates a random dbt project of any size from a seed; the same seed gives the same project, and dbt can build it.

Usage: python -m benchmarks.generate FOLDER [--models N] [--tests N] [--seed N]
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GROUPS = ("hourly", "nightly", "weekly")
"""The schedule groups of the project, upstream first."""

DEFAULT = 1
"""The index of the default group, whose nodes need no tag."""

_SHARES = (5, 4, 2)
_MODELS_A_LAYER = 250
_TAGS = 200


@dataclass(frozen=True)
class Node:
    """A table of the project: the names of the nodes that it reads, and the index of its group in `GROUPS`.

    Sources and ephemeral models have no group.
    """

    name: str
    kind: str
    materialized: str
    group: int | None
    reads: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    layer: int = 0


@dataclass(frozen=True)
class DrawnTest:
    """A data test: the nodes that it reads; `relationships` from the first to the second, or `singular`."""

    name: str
    kind: str
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """A generated project: nodes and tests by name, each node after the nodes that it reads."""

    nodes: Mapping[str, Node]
    tests: Mapping[str, DrawnTest]


def draw(models: int, tests: int, seed: int) -> Drawn:
    """Generate a project of layers; each node reads some nodes of earlier layers in the same or earlier groups."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    nodes = {f"source_{number:03}": Node(f"source_{number:03}", "source", "", None) for number in range(50)}
    for number in range(30):
        nodes[f"seed_{number:03}"] = Node(f"seed_{number:03}", "seed", "seed", 0, tags=(GROUPS[0],))
    # The nodes that a node of each group can read: those of all groups up to it, the latest last.
    readable: list[list[str]] = [list(nodes) for _ in GROUPS]
    for layer in range(-(-models // _MODELS_A_LAYER)):
        drawn = [
            _model(chance, number, layer, readable)
            for number in range(layer * _MODELS_A_LAYER, min(models, (layer + 1) * _MODELS_A_LAYER))
        ]
        for node, rank in drawn:
            nodes[node.name] = node
            for names in readable[rank:]:
                names.append(node.name)
    for number in range(30):
        read = chance.choice([name for name in readable[-1] if nodes[name].kind == "model"])
        name = f"snapshot_{number:03}"
        nodes[name] = Node(name, "snapshot", "snapshot", len(GROUPS) - 1, (read,), (GROUPS[-1],))
    return Drawn(nodes, {test.name: test for test in _tests(chance, list(nodes.values()), tests)})


def _model(chance: random.Random, number: int, layer: int, readable: Sequence[Sequence[str]]) -> tuple[Node, int]:
    rank = chance.choices(range(len(GROUPS)), _SHARES)[0]
    youngest = readable[rank][-2 * _MODELS_A_LAYER :]
    reads = tuple(sorted(set(chance.choices(youngest, k=chance.randint(1, 3)))))
    materialized = chance.choices(("view", "table", "incremental", "ephemeral"), (5, 3, 1, 1))[0]
    tags = [f"tag_{one}" for one in chance.sample(range(_TAGS), k=chance.randint(0, 4))]
    if materialized == "ephemeral":
        # An ephemeral node has no group, but counts with the rank of what it reads.
        return Node(f"model_{number:05}", "model", materialized, None, reads, tuple(tags), layer), rank
    if rank != DEFAULT or chance.random() < 0.5:  # noqa: PLR2004 - every other node of the default group has a tag
        tags.append(GROUPS[rank])
    return Node(f"model_{number:05}", "model", materialized, rank, reads, tuple(tags), layer), rank


def _tests(chance: random.Random, nodes: Sequence[Node], count: int) -> list[DrawnTest]:
    found = []
    for number in range(count):
        name = f"test_{number:05}"
        match chance.choices(("unique", "not_null", "relationships", "singular"), (8, 8, 3, 1))[0]:
            case "singular":
                read = chance.sample(nodes, k=chance.randint(1, 4))
                found.append(DrawnTest(name, "singular", tuple(node.name for node in read)))
            case "relationships":
                read = chance.sample(nodes, k=2)
                found.append(DrawnTest(name, "relationships", tuple(node.name for node in read)))
            case kind:
                found.append(DrawnTest(name, kind, (chance.choice(nodes).name,)))
    return found


def write(drawn: Drawn, folder: Path) -> None:
    """Write project, profile (with a DuckDB file) and schedule groups into an empty folder."""
    files: dict[str, str] = {
        "dbt_project.yml": _project(drawn),
        "profiles.yml": "large: {target: local, outputs: {local: {type: duckdb, path: large.duckdb, threads: 2}}}\n",
        "schedule_groups.yaml": _groups(),
    }
    yamls: dict[str, list[Node]] = defaultdict(list)
    for node in drawn.nodes.values():
        if node.kind == "model":
            files[f"models/layer_{node.layer:02}/{node.name}.sql"] = _sql(node, drawn)
            yamls[f"models/layer_{node.layer:02}/part_{int(node.name[-5:]) // 50:03}.yml"].append(node)
        elif node.kind == "seed":
            files[f"seeds/{node.name}.csv"] = "id\n1\n"
            yamls["seeds/seeds.yml"].append(node)
        elif node.kind == "snapshot":
            yamls["snapshots/snapshots.yml"].append(node)
        else:
            yamls["models/sources.yml"].append(node)
    attached: dict[str, list[DrawnTest]] = defaultdict(list)
    for test in drawn.tests.values():
        if test.kind == "singular":
            files[f"tests/{test.name}.sql"] = f"{_from_all(test.reads, drawn)}\nexcept select 1\n"
        else:
            attached[test.reads[0]].append(test)
    files |= {path: _yaml(nodes, attached, drawn) for path, nodes in yamls.items()}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


def _project(drawn: Drawn) -> str:
    sources = [node.name for node in drawn.nodes.values() if node.kind == "source"]
    hooks = [
        "create schema if not exists raw",
        *(f"create or replace table raw.{one} as select 1 as id" for one in sources),
    ]
    return "\n".join(
        [
            "name: large",
            'version: "1.0"',
            "profile: large",
            "flags: {send_anonymous_usage_stats: false}",
            "on-run-start:",
            *(f"  - {hook}" for hook in hooks),
            "",
        ]
    )


def _groups() -> str:
    lines = ["groups:"]
    for place, name in enumerate(GROUPS):
        lines += [f"  - name: {name}", f"    select: tag:{name}", f'    cron: "0 {place} * * *"']
        lines += ["    default: true"] if place == DEFAULT else []
    return "\n".join([*lines, ""])


def _sql(node: Node, drawn: Drawn) -> str:
    config = f"materialized='{node.materialized}', tags={list(node.tags)}"
    return f"{{{{ config({config}) }}}}\n{_from_all(node.reads, drawn)}\n"


def _from_all(names: Sequence[str], drawn: Drawn) -> str:
    references = ["{{ " + _call(name, drawn) + " }}" for name in names]
    return "\nunion ".join(f"select id from {reference}" for reference in references)  # noqa: S608 - our own names


def _call(name: str, drawn: Drawn) -> str:
    return f"source('raw', '{name}')" if drawn.nodes[name].kind == "source" else f"ref('{name}')"


def _yaml(nodes: Sequence[Node], attached: Mapping[str, Sequence[DrawnTest]], drawn: Drawn) -> str:
    kind = nodes[0].kind
    head = ["sources:", "  - name: raw", "    tables:"] if kind == "source" else [f"{kind}s:"]
    lines = [*head]
    for node in nodes:
        entry = [f"- name: {node.name}"]
        if kind == "snapshot":
            entry += [
                f"  relation: {_call(node.reads[0], drawn)}",
                f"  config: {{unique_key: id, strategy: check, check_cols: all, tags: {list(node.tags)}}}",
            ]
        elif kind == "seed":
            entry += [f"  config: {{tags: {list(node.tags)}}}"]
        if attached.get(node.name):
            entry += ["  columns:", "    - name: id", "      data_tests:"]
            for test in attached[node.name]:
                entry += [f"        - {test.kind}:", f"            name: {test.name}"]
                if test.kind == "relationships":
                    to = _call(test.reads[1], drawn)
                    entry += [f'            arguments: {{to: "{to}", field: id}}']
        indent = " " * (6 if kind == "source" else 2)
        lines += [indent + line for line in entry]
    return "\n".join([*lines, ""])


def main() -> None:
    """Write a project into the folder on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--tests", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    drawn = draw(arguments.models, arguments.tests, arguments.seed)
    write(drawn, arguments.folder)
    print(f"{len(drawn.nodes):,} nodes and sources, {len(drawn.tests):,} tests in {arguments.folder}")


if __name__ == "__main__":
    main()
