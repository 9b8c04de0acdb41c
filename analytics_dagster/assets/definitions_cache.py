"""The facts beside the manifest: written when it is prepared, and read by every process that loads the location.

The file begins with a digest of all that the facts were made of; where that is no longer the same they are not read.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import dagster as dg
import orjson

# What `dagster.serialize_value` raises has no public name; a test fails when this one is gone.
from dagster_shared.serdes.errors import SerializationError

from analytics_dagster.assets.dbt_assets import GroupStep
from analytics_dagster.assets.dbt_definitions import DbtDefinitions
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.plan import Edge, GroupPlan, NotBuilt, Plan, PlannedTest, Problem
from analytics_dagster.project.fingerprint import digest_of
from analytics_dagster.project.loading import Project
from analytics_dagster.project.manifest import MANIFEST

CACHE_FILE = "analytics_dagster_facts.json"
"""The name of the file."""

_PACKAGE = Path(__file__).parents[1]
_KIND = "dagster/kind/"
_LIBRARIES = ("dagster", "dagster-dbt")


@dataclass(frozen=True)
class DefinitionsCache:
    """Where the facts of a project are kept, and what they must have been made of.

    ``unit_tests`` says whether these are checks.
    """

    project: Project
    groups: ScheduleGroups
    unit_tests: bool

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.project.artifacts / CACHE_FILE

    def read(self) -> DbtDefinitions | None:
        """Return the facts, or None where there are none that fit what there is now."""
        try:
            with self.path.open("rb") as file:
                if file.readline().strip() != self._digest():
                    return None
                content = orjson.loads(file.read())
        except (OSError, orjson.JSONDecodeError):
            # Whatever is wrong with the file, what follows is the same: the facts are made from the manifest.
            return None
        return _Reader(content, self.project.directory, self.groups).facts()

    def write(self, facts: DbtDefinitions) -> bool:
        """Keep the facts for others, if they are the same when they are read again; return whether they are."""
        content = _Writer(facts, self.project.directory).content()
        if content is None or _Reader(orjson.loads(content), self.project.directory, self.groups).facts() != facts:
            return False
        temporary = self.path.with_name(f".{CACHE_FILE}.{os.getpid()}")
        temporary.write_bytes(self._digest() + b"\n" + content)
        temporary.replace(self.path)
        return True

    @property
    def fits(self) -> bool:
        """Whether there are facts that were made of what there is now."""
        try:
            with self.path.open("rb") as file:
                return file.readline().strip() == self._digest()
        except OSError:
            return False

    def _digest(self) -> bytes:
        """Return the digest of all that facts are made of: manifest, selections, groups, this package, libraries."""
        told = [f"unit_tests {self.unit_tests}", *(f"{name} {version(name)}" for name in _LIBRARIES)]
        total = hashlib.sha256("\n".join(told).encode())
        total.update(self.groups.model_dump_json().encode())
        for selection, unique_ids in self.project.selected.items():
            total.update(repr(selection).encode() + orjson.dumps(sorted(unique_ids)))
        for path in (self.project.artifacts / MANIFEST, *sorted(_PACKAGE.rglob("*.py"))):
            total.update(digest_of(path).encode())
        return total.hexdigest().encode()


# --- what stands in the file --------------------------------------------------------------------------------------


class _Places:
    """Things by their places in a list, each once: what is named often is written once."""

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}

    def __getitem__(self, thing: Any) -> int:
        return self._places.setdefault(thing, len(self._places))

    def all(self, things: Iterable[Any]) -> list[int]:
        return [self[thing] for thing in things]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)


class _Writer:
    """Turns facts into lists and numbers; the reader below takes them in the same order."""

    def __init__(self, facts: DbtDefinitions, directory: Path) -> None:
        self._facts = facts
        self._directory = f"{directory}{os.sep}"
        self._ids = _Places()
        self._keys = _Places()

    def content(self) -> bytes | None:
        """Return the file's content, or None where Dagster can't write something down."""
        facts = self._facts
        try:
            content = {
                "plan": self._plan(facts.plan),
                "key_of": [[self._ids[one], self._keys[key]] for one, key in facts.keys.items()],
                "sources": [[self._ids[one], self._spec(spec)] for one, spec in facts.sources.items()],
                "nodes": [[self._ids[one], self._spec(spec)] for one, spec in facts.nodes.items()],
                "others": [self._spec(spec) for spec in facts.others],
                "checks": [[self._ids[one], self._check(spec)] for one, spec in facts.checks.items()],
                "steps": [self._step(step) for step in facts.steps],
                # In the order of the nodes.
                "paths": list(facts.paths.values()),
                "manifest_subset": facts.manifest_subset,
            }
            return orjson.dumps({**content, "ids": list(self._ids), "keys": [list(key.path) for key in self._keys]})
        except (SerializationError, TypeError):
            # A condition of somebody's own, for example.
            return None

    def _plan(self, plan: Plan) -> list[Any]:
        problems = [[one.code, one.message, self._ids.all(one.nodes), one.remedy] for one in plan.warnings]
        return [
            [
                [
                    one.group.name,
                    self._ids.all(one.nodes),
                    [
                        [self._ids[test.unique_id], self._optional(test.node), self._ids.all(sorted(test.reads))]
                        for test in one.tests
                    ],
                    self._ids.all(one.unit_tests),
                    self._ids.all(one.refreshes),
                    self._ids.all(one.refreshed_tests),
                ]
                for one in plan.groups
            ],
            [[one.upstream, one.downstream, one.parent, one.child, one.previous] for one in plan.edges],
            problems,
            [[one.what, one.why, self._ids.all(one.nodes)] for one in plan.not_built],
        ]

    def _optional(self, unique_id: str | None) -> int | None:
        return None if unique_id is None else self._ids[unique_id]

    def _spec(self, spec: dg.AssetSpec) -> list[Any]:
        condition = spec.automation_condition
        return [
            self._keys[spec.key],
            self._keys.all(dep.asset_key for dep in spec.deps),
            spec.description,
            spec.group_name,
            spec.code_version,
            spec.skippable,
            list(spec.owners),
            [name.removeprefix(_KIND) for name in spec.tags if name.startswith(_KIND)],
            {name: value for name, value in spec.tags.items() if not name.startswith(_KIND)},
            {name: self._value(value) for name, value in spec.metadata.items()},
            None if condition is None else dg.serialize_value(cast("Any", condition)),
        ]

    def _value(self, value: Any) -> Any:
        """Return a metadata value: plain ones as they are, others as a list that begins with what they are."""
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, dg.TableSchema):
            rows = [[one.name, one.type, one.description, one.tags or None] for one in value.columns]
            if _schema(rows) == value:
                return ["columns", *rows]
        if isinstance(value, dg.CodeReferencesMetadataValue):
            [reference] = value.code_references
            path = str(reference.file_path) if isinstance(reference, dg.LocalFileCodeReference) else ""
            if path.startswith(self._directory):
                return ["file", path.removeprefix(self._directory)]
        return ["other", dg.serialize_value(value)]

    def _check(self, spec: dg.AssetCheckSpec) -> list[Any]:
        return [
            spec.name,
            self._keys[spec.asset_key],
            spec.description,
            self._keys.all(dep.asset_key for dep in spec.additional_deps),
            spec.blocking,
            dict(spec.metadata),
        ]

    def _step(self, step: GroupStep) -> list[Any]:
        return [
            step.name,
            step.group,
            step.place,
            [list(step.nodes), self._ids.all(step.nodes.values())],
            [list(step.tests), self._ids.all(step.tests.values())],
            [list(step.inputs), self._keys.all(step.inputs.values())],
        ]


class _Reader:
    """Makes facts of what the writer above has written."""

    def __init__(self, content: Mapping[str, Any], directory: Path, groups: ScheduleGroups) -> None:
        self._content = content
        self._directory = str(directory)
        self._groups = {group.name: group for group in groups.groups}
        self._ids: Sequence[str] = content["ids"]
        self._keys = [dg.AssetKey(path) for path in content["keys"]]
        # One for each asset, whoever reads it.
        self._deps = [dg.AssetDep(key) for key in self._keys]

    def facts(self) -> DbtDefinitions:
        """Return the facts."""
        # Code references are beta in Dagster's words, though years old; told of each node it would bury all else.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*CodeReference", category=dg.BetaWarning)
            return self._facts()

    def _facts(self) -> DbtDefinitions:
        content, ids, keys = self._content, self._ids, self._keys
        return DbtDefinitions(
            plan=self._plan(*content["plan"]),
            keys={ids[one]: keys[key] for one, key in content["key_of"]},
            sources={ids[one]: self._spec(*row) for one, row in content["sources"]},
            nodes={ids[one]: self._spec(*row) for one, row in content["nodes"]},
            others=tuple(self._spec(*row) for row in content["others"]),
            checks={ids[one]: self._check(*row) for one, row in content["checks"]},
            steps=tuple(self._step(*row) for row in content["steps"]),
            paths={ids[row[0]]: path for row, path in zip(content["nodes"], content["paths"], strict=True)},
            manifest_subset=content["manifest_subset"],
        )

    def _of(self, places: Iterable[int]) -> tuple[str, ...]:
        ids = self._ids
        return tuple([ids[place] for place in places])

    def _plan(self, groups: Any, edges: Any, warnings: Any, not_built: Any) -> Plan:
        return Plan(
            groups=tuple(self._group(self._groups[row[0]], *row[1:]) for row in groups),
            edges=tuple(Edge(*row) for row in edges),
            problems=(),
            warnings=tuple(Problem(code, message, self._of(nodes), end) for code, message, nodes, end in warnings),
            not_built=tuple(NotBuilt(what, why, self._of(nodes)) for what, why, nodes in not_built),
        )

    def _group(self, group: ScheduleGroup, nodes: Any, tests: Any, *others: Any) -> GroupPlan:
        ids = self._ids
        planned = [
            PlannedTest(ids[one], None if node is None else ids[node], frozenset([ids[place] for place in reads]))
            for one, node, reads in tests
        ]
        return GroupPlan(group, self._of(nodes), tuple(planned), *(self._of(places) for places in others))

    def _spec(self, key: int, deps: Any, description: str | None, group: str | None, *rest: Any) -> dg.AssetSpec:
        code_version, skippable, owners, kinds, tags, metadata, condition = rest
        return dg.AssetSpec(
            key=self._keys[key],
            deps=[self._deps[place] for place in deps],
            description=description,
            group_name=group,
            code_version=code_version,
            skippable=skippable,
            owners=owners,
            kinds=kinds,
            tags=tags,
            metadata={
                name: self._value(value) if value.__class__ is list else value for name, value in metadata.items()
            },
            automation_condition=None if condition is None else cast("Any", dg.deserialize_value(condition)),
        )

    def _value(self, written: Sequence[Any]) -> Any:
        kind, *rest = written
        if kind == "columns":
            return _schema(rest)
        if kind == "file":
            return _file_reference(f"{self._directory}{os.sep}{rest[0]}")
        return dg.deserialize_value(rest[0])

    def _check(self, name: str, key: int, description: str | None, deps: Any, *rest: Any) -> dg.AssetCheckSpec:
        blocking, metadata = rest
        return dg.AssetCheckSpec(
            name,
            asset=self._keys[key],
            description=description,
            additional_deps=[self._deps[place] for place in deps],
            blocking=blocking,
            metadata=metadata,
        )

    def _step(self, name: str, group: str, place: int, *named: tuple[Sequence[str], Sequence[int]]) -> GroupStep:
        (outputs, nodes), (others, tests), (inputs, read) = named
        return GroupStep(
            name=name,
            group=group,
            place=place,
            nodes=dict(zip(outputs, self._of(nodes), strict=True)),
            tests=dict(zip(others, self._of(tests), strict=True)),
            inputs=dict(zip(inputs, [self._keys[one] for one in read], strict=True)),
        )


def _schema(rows: Iterable[Any]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=name, type=data_type, description=description, tags=tags)
            for name, data_type, description, tags in rows
        ]
    )


def _file_reference(path: str) -> dg.CodeReferencesMetadataValue:
    return dg.CodeReferencesMetadataValue(code_references=[dg.LocalFileCodeReference(file_path=path)])
