"""Names in SQL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, named as dbt's manifest names it."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The quoted name for use in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """Return a name as DuckDB and PostgreSQL read it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
