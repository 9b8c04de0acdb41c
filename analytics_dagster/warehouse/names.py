"""Quoted names in SQL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, with the schema and name of dbt's manifest."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The quoted name for use in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """Return a name quoted for DuckDB and PostgreSQL."""
    return '"' + name.replace('"', '""') + '"'
