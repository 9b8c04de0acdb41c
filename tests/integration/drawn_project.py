"""Random dbt projects, written to a folder with a warehouse that has only their raw tables.

Every table has the ids 1 and 2, so that every test passes, or warns where it is meant to, in whatever run it comes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

NAME = "drawn"
GROUPS = ("dawn", "noon", "dusk", "night")
WAREHOUSE = "warehouse.duckdb"
RAW = ("raw_0", "raw_1")

_PROJECT = f"""
name: {NAME}
profile: {NAME}
config-version: 2
"""
_PROFILE = f"""
{NAME}:
  target: dev
  outputs:
    dev: {{type: duckdb, path: {WAREHOUSE}, threads: 2}}
"""


@dataclass(frozen=True)
class Node:
    """A node of the project; ``home`` is the group of its tag, if any."""

    name: str
    kind: str
    reads: tuple[str, ...]
    home: str | None

    @property
    def tag(self) -> str:
        """The tag of the node."""
        return self.home or "homeless"


@dataclass
class Drawn:
    """A project and its schedule groups' file."""

    seed: int
    on_overlap: str
    groups: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the project below a folder, with its raw tables; return the project's folder."""
        project = folder / NAME
        for path, content in {"dbt_project.yml": _PROJECT, "profiles.yml": _PROFILE, **self.files}.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(content)
        with duckdb.connect(str(project / WAREHOUSE)) as connection:
            for table in RAW:
                connection.execute(f"create table {table} as select unnest([1, 2]) as id")
        return project

    def groups_file(self, previous: dict[str, set[str]]) -> str:
        """Return the schedule groups' file; ``previous`` has the `reads_previous` of each group."""
        lines = [f"on_overlap: {self.on_overlap}", "groups:"]
        for place, (name, selection) in enumerate(self.groups.items()):
            lines += [f"- name: {name}", f"  {selection}"]
            lines += ["  default: true"] if place == len(self.groups) - 1 else []
            lines += [f"  reads_previous: [{', '.join(sorted(previous[name]))}]"] if previous.get(name) else []
        return "\n".join(lines) + "\n"


def draw_project(seed: int) -> Drawn:
    """Draw a project of 6 to 14 nodes of all kinds, tests of all kinds, and groups of all kinds of selection."""
    chance = random.Random(seed)  # noqa: S311 - must be reproducible
    drawn = Drawn(seed, on_overlap=chance.choice(["error", "first", "all", "all"]))
    names = GROUPS[: chance.choice([1, 2, 2, 3, 3, 4])]
    _draw_nodes(drawn, chance, names)
    _write_nodes(drawn, chance)
    _draw_tests(drawn, chance)
    _draw_unit_tests(drawn, chance)
    selectors: list[str] = []
    for name in chance.sample(names, len(names)):
        drawn.groups[name] = _draw_selection(drawn, chance, name, selectors)
    if selectors:
        drawn.files["selectors.yml"] = "selectors:\n" + "".join(selectors)
    return drawn


# --- nodes ------------------------------------------------------------------------------------------------------


def _draw_nodes(drawn: Drawn, chance: random.Random, names: Sequence[str]) -> None:
    number = chance.randint(6, 14)
    # Either groups in sequence, as in real projects, or groups that may form cycles.
    layered = chance.random() < 0.6
    for place in range(number):
        kinds = ["seed"] if place == 0 else ["seed", "snapshot", "view", *["table"] * 4, *["incremental"] * 2]
        kind = chance.choice([*kinds, *["ephemeral"] * (3 if place else 0)])
        known = [node.name for node in drawn.nodes if kind != "snapshot" or node.kind != "ephemeral"]
        sources = [f"source:{table}" for table in RAW]
        reads = chance.sample([*known, *sources], min(len(known) + 1, chance.randint(1, 3)))
        layer = names[place * len(names) // number] if layered else chance.choice(names)
        home = layer if chance.random() < 0.85 else None
        if kind == "snapshot":
            reads = [known[-1]]
        drawn.nodes.append(Node(f"n{place}", kind, tuple([] if kind == "seed" else reads), home))


def _ref(read: str) -> str:
    table = read.removeprefix("source:")
    return f"{{{{ source('raw', '{table}') }}}}" if read != table else f"{{{{ ref('{table}') }}}}"


def _select(read: str) -> str:
    return f"select id from {_ref(read)}"  # noqa: S608 - a name that was drawn here


def _write_nodes(drawn: Drawn, chance: random.Random) -> None:
    drawn.files["models/sources.yml"] = "sources:\n- {name: raw, schema: main, tables: [" + (
        ", ".join(f"{{name: {table}}}" for table in RAW) + "]}\n"
    )
    for node in drawn.nodes:
        config = f"tags: [{node.tag}], meta: {{home: {node.tag}}}"
        if node.kind == "seed":
            drawn.files[f"seeds/{node.tag}/{node.name}.csv"] = "id\n1\n2\n"
            drawn.files[f"seeds/{node.tag}/{node.name}.yml"] = f"seeds: [{{name: {node.name}, config: {{{config}}}}}]\n"
        elif node.kind == "snapshot":
            drawn.files[f"snapshots/{node.tag}/{node.name}.yml"] = (
                f"snapshots: [{{name: {node.name}, relation: \"ref('{node.reads[0]}')\", "
                f"config: {{{config}, unique_key: id, strategy: check, check_cols: all}}}}]\n"
            )
        else:
            more = ", unique_key='id', incremental_strategy='delete+insert'" if node.kind == "incremental" else ""
            body = "\nunion\n".join(_select(read) for read in node.reads)
            head = f"{{{{ config(materialized='{node.kind}'{more}) }}}}"
            drawn.files[f"models/{node.tag}/{node.name}.sql"] = f"{head}\n{body}\n"
            drawn.files[f"models/{node.tag}/{node.name}.yml"] = (
                f"models: [{{name: {node.name}, config: {{{config}}}, columns: [{{name: id}}]}}]\n"
            )
    chance.shuffle(drawn.nodes)


# --- tests ------------------------------------------------------------------------------------------------------


def _draw_tests(drawn: Drawn, chance: random.Random) -> None:
    names = [node.name for node in drawn.nodes]
    for place in range(chance.randint(2, 7)):
        severity = chance.choice(["error", "error", "warn"])
        read = chance.sample([*names, *(f"source:{table}" for table in RAW)], chance.randint(0, 3))
        # A test that warns finds a row.
        found = "1 = 1" if severity == "warn" else "id < 0"
        body = (
            "\nunion all\n".join(f"select id from {_ref(one)} where {found}" for one in read) or "select 1 where 1 = 0"  # noqa: S608 - names that were drawn here
        )
        drawn.files[f"tests/singular_{place}.sql"] = f"{{{{ config(severity='{severity}') }}}}\n{body}\n"
    for place in range(chance.randint(2, 6)):
        node = chance.choice(drawn.nodes)
        other = chance.choice(names)
        test = chance.choice(["unique", "not_null", f"relationships: {{arguments: {{to: ref('{other}'), field: id}}}}"])
        _write_generic(drawn, node, place, test)
    table = chance.choice(RAW)
    drawn.files["models/sources.yml"] = drawn.files["models/sources.yml"].replace(
        f"{{name: {table}}}", f"{{name: {table}, columns: [{{name: id, data_tests: [not_null]}}]}}"
    )


def _write_generic(drawn: Drawn, node: Node, place: int, test: str) -> None:
    folder = {"seed": "seeds", "snapshot": "snapshots"}.get(node.kind, "models")
    path = f"{folder}/{node.tag}/{node.name}.yml"
    name, _, rest = test.partition(": ")
    # With a name, since the same test may be drawn twice.
    written = f"{{name: generic_{place}, test_name: {name}{', ' + rest[1:-1] if rest else ''}}}"
    content = drawn.files[path]
    if "data_tests" in content:
        drawn.files[path] = content.replace("data_tests: [", f"data_tests: [{written}, ")
    elif "columns" in content:
        drawn.files[path] = content.replace("{name: id}", f"{{name: id, data_tests: [{written}]}}")
    else:
        drawn.files[path] = content.replace("}]\n", f", columns: [{{name: id, data_tests: [{written}]}}]}}]\n")


def _draw_unit_tests(drawn: Drawn, chance: random.Random) -> None:
    kinds = {node.name: node.kind for node in drawn.nodes}
    tested = [
        node
        for node in drawn.nodes
        if node.kind in {"table", "view", "ephemeral"} and all(kinds.get(read) != "ephemeral" for read in node.reads)
    ]
    for node in chance.sample(tested, min(len(tested), 2)):
        given = ", ".join(f'{{input: "{_ref(read)[3:-3]}", rows: [{{id: 7}}]}}' for read in node.reads)
        expected = "expect: {rows: [{id: 7}]}"
        drawn.files[f"models/{node.tag}/unit_{node.name}.yml"] = (
            f"unit_tests: [{{name: unit_{node.name}, model: {node.name}, given: [{given}], {expected}}}]\n"
        )


# --- groups -----------------------------------------------------------------------------------------------------


def _draw_selection(drawn: Drawn, chance: random.Random, name: str, selectors: list[str]) -> str:
    kinds = ["tag", "path", "fqn", "config", "split", "selector"]
    if drawn.on_overlap != "error" or chance.random() < 0.3:
        kinds += ["upstream", "downstream", "around"]
    kind = chance.choice(kinds)
    node = chance.choice(drawn.nodes).name
    if kind == "selector":
        by_tag, by_path = f"{{method: tag, value: {name}}}", f'{{method: path, value: "seeds/{name}"}}'
        selectors.append(f"- {{name: of_{name}, definition: {{union: [{by_tag}, {by_path}]}}}}\n")
        return f"selector: of_{name}"
    select = {
        "tag": f"tag:{name}",
        "path": f"path:models/{name} path:seeds/{name} path:snapshots/{name}",
        "fqn": f"fqn:{NAME}.{name}",
        "config": f"config.meta.home:{name}",
        "split": f"tag:{name},resource_type:model tag:{name},resource_type:seed tag:{name},resource_type:snapshot",
        "upstream": f"tag:{name} +{node}",
        "downstream": f"tag:{name} {node}+1",
        "around": f"@{node},tag:{name} 1+{node}",
    }[kind]
    return f'select: "{select}"'
