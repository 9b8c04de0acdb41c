"""The raw tables that are loaded from the landing zone: dbt sources that declare `meta.landing`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from analytics_dagster.errors import ProjectError
from analytics_dagster.ingestion.column_types import ColumnType, declared_type

Format = Literal["parquet", "csv", "jsonl"]
"""The format of a landed file."""

FILE_COLUMN = "_landed_file"
"""The column of each raw table with the path of the row's file in the landing zone."""

ChangedFiles = Literal["replace", "merge"]
"""What a file that was changed does to the rows of its earlier version, if the table has a primary key."""

_UNSUPPORTED = re.compile(r"""[\x00-\x1f"'.%{}/\\?*:<>|▶]""")
"""Characters that dlt replaces in the name of a table, or does not take: the rows would be in another table."""


def _relative_glob(path: str) -> str:
    if not path or "://" in path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError("must be a glob relative to the landing zone, such as orders/**/*.parquet")
    return path


def _column_type(text: str) -> str:
    if declared_type(text) is None:
        raise ValueError("must be text, bigint, double, bool, timestamp, date, time, decimal, binary or json")
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Declaration(BaseModel):
    """The fields of `meta.landing`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    path: Annotated[str, AfterValidator(_relative_glob)]
    format: Format
    primary_key: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    cursor: str | None = None
    columns: dict[str, Annotated[str, AfterValidator(_column_type)]] = {}
    changed_files: ChangedFiles = "replace"


@dataclass(frozen=True)
class LandedTable:
    """A raw table that is loaded from files of the landing zone.

    ``path`` is a glob relative to the landing zone. ``identifier`` is the table's name in the warehouse. ``cursor`` is
    the column that orders the versions of a row. ``columns`` has the types declared by `landing.columns` or the source
    column's `data_type`; ``untyped`` names the documented columns without a declared type. ``changed_files`` is for
    tables with a primary key: whether rows that a changed file no longer has are deleted.
    """

    unique_id: str
    source_name: str
    name: str
    schema: str
    identifier: str
    path: str
    format: Format
    primary_key: tuple[str, ...] = ()
    cursor: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    untyped: tuple[str, ...] = ()
    changed_files: ChangedFiles = "replace"

    @property
    def types(self) -> dict[str, ColumnType]:
        """The declared types."""
        found = {name: declared_type(text) for name, text in self.columns.items()}
        return {name: one for name, one in found.items() if one}

    @property
    def is_typed(self) -> bool:
        """Whether the types of all known columns are declared, so that the table can be created without a file."""
        return bool(self.columns) and not self.untyped

    @property
    def folder(self) -> str:
        """The deepest folder of the landing zone that contains all files of the table; empty for its root."""
        parts = posixpath.dirname(self.path).split("/")
        return "/".join(takewhile(lambda part: not re.search(r"[*?[]", part), parts))


def landed_tables(sources: Mapping[str, Mapping[str, Any]]) -> tuple[LandedTable, ...]:
    """Return the landed tables among the sources of a dbt manifest, sorted by unique id.

    Raises `ProjectError` that names every invalid declaration with its file.
    """
    tables, problems = [], []
    for unique_id in sorted(sources):
        node = sources[unique_id]
        declared = _declared(node)
        if declared is None:
            continue
        found = _unsupported(str(node.get("identifier") or node["name"]))
        try:
            tables.append(_table(unique_id, node, _Declaration.model_validate(declared)))
        except ValidationError as error:
            found += [_problem(item) for item in error.errors(include_url=False)]
        if found:
            name = f"{node['source_name']}.{node['name']}"
            problems.append(f"{name} in {node.get('original_file_path')}: {'; '.join(found)}")
    if problems:
        raise ProjectError(
            "The landing metadata of dbt sources is invalid:\n  " + "\n  ".join(problems),
            remedy="Set path and format, and optionally primary_key, cursor, columns and changed_files, under "
            "meta.landing; docs/ingestion.md has an example.",
        )
    return tuple(tables)


def landing_sources(sources: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return the sources that declare `meta.landing`: the part of a manifest that `landed_tables` reads."""
    return {unique_id: node for unique_id, node in sources.items() if _declared(node) is not None}


def _declared(node: Mapping[str, Any]) -> Any:
    for place in (node, node.get("config") or {}):
        meta = place.get("meta") or {}
        if "landing" in meta:
            return meta["landing"] or {}
    return None


def _table(unique_id: str, node: Mapping[str, Any], declared: _Declaration) -> LandedTable:
    documented = {column_name(name): column.get("data_type") for name, column in (node.get("columns") or {}).items()}
    types = {name: declared_type(str(text)) for name, text in documented.items() if text}
    types |= {column_name(name): declared_type(text) for name, text in declared.columns.items()}
    columns = {name: str(found) for name, found in types.items() if found}
    primary_key = tuple(column_name(name) for name in declared.primary_key)
    cursor = column_name(declared.cursor) if declared.cursor else None
    needed = [*documented, *primary_key, *([cursor] if cursor else [])]
    return LandedTable(
        unique_id=unique_id,
        source_name=str(node["source_name"]),
        name=str(node["name"]),
        schema=str(node["schema"]),
        identifier=str(node.get("identifier") or node["name"]),
        path=declared.path,
        format=declared.format,
        primary_key=primary_key,
        cursor=cursor,
        columns=columns,
        changed_files=declared.changed_files,
        untyped=tuple(name for name in dict.fromkeys(needed) if name not in columns),
    )


def column_name(name: str) -> str:
    """Return the name of a file's column in the warehouse: lower case, with `_` for other characters.

    Destinations fold the case of names differently, so this is done once for all.
    """
    folded = re.sub(r"\W+", "_", name.strip().lower())
    return f"_{folded}" if not folded or folded[0].isdigit() else folded


def _unsupported(identifier: str) -> list[str]:
    found = _UNSUPPORTED.search(identifier)
    return (
        [f"the table's name {identifier!r} has the character {found[0]!r}, which the loader can't write"]
        if found
        else []
    )


def _problem(item: Any) -> str:
    place = ".".join(["landing", *(str(part) for part in item["loc"])])
    message = "is not a known key" if item["type"] == "extra_forbidden" else item["msg"]
    return f"{place}: {message}"
