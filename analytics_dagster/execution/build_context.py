"""What every build needs to know about the code location."""

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
class BuildContext:
    """The project, its schedule groups, and its asset and check keys by dbt unique id.

    ``variables`` are the dbt vars of the location; its manifest and graph are parsed with them.
    """

    project: Project
    graph: Graph
    variables: Mapping[str, Any]
    groups: Mapping[str, ScheduleGroup]
    group_of: Mapping[str, str]
    keys: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckKey]

    def artifacts(self, variables: Mapping[str, Any]) -> Path:
        """Return the folder of the manifest for these vars, which may not exist yet."""
        artifacts = self.project.artifacts
        if variables == self.variables:
            return artifacts
        return artifacts_of(artifacts, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode())

    def partial_parse(self, variables: Mapping[str, Any]) -> Path:
        """Return the file of dbt's last parse with these vars; from it dbt knows which files have changed."""
        return self.artifacts(variables) / "partial_parse.msgpack"
