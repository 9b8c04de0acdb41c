"""What every build of the location needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import orjson

from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Project
from analytics_dagster.project.parse import artifacts_of


@dataclass(frozen=True)
class Assets:
    """The project, its groups, and its assets by dbt unique id.

    ``variables`` are the location's own dbt vars, with which the project's manifest and its graph were made.
    """

    project: Project
    graph: Graph
    variables: Mapping[str, Any]
    groups: Mapping[str, ScheduleGroup]
    group_of: Mapping[str, str]
    keys: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckKey]

    def artifacts(self, variables: Mapping[str, Any]) -> Path:
        """Return the folder of what was parsed with these vars, if that was ever done."""
        artifacts = self.project.artifacts
        if variables == self.variables:
            return artifacts
        return artifacts_of(artifacts, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode())

    def parsed(self, variables: Mapping[str, Any]) -> Path:
        """Return the file of what dbt parsed with these vars; from it dbt knows what has changed since."""
        return self.artifacts(variables) / "partial_parse.msgpack"
