"""The plan as JSON: what `analytics-dagster plan --json` prints. Keys are only added, never changed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from analytics_dagster.cli.plan.explanation import explain
from analytics_dagster.cli.plan.planned_project import PlannedProject
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.plan import GroupPlan, Problem

_TICKS = 5
_GROUP_KEYS = {
    *("select", "selector", "default", "cron", "time_zone", "after_ingestion", "docs"),
    *("on_upstream_failure", "reads_previous", "retries", "full_refresh"),
}
_UNIQUE_ID = re.compile(r"[a-z_]+\.[^.]+\..+")


def plan_document(planned: PlannedProject, now: datetime, group: str | None = None) -> Mapping[str, Any]:
    """Return the whole plan, or the part of one group; nodes and tests are dbt unique ids."""
    plan, target = planned.plan, planned.project.target
    return {
        "project": planned.project.manifest["metadata"].get("project_name"),
        "target": {"profile": target.profile, "name": target.name, "adapter": target.adapter},
        "stand_in": planned.profile_error.problem if planned.profile_error else None,
        "order": [group_plan.group.name for group_plan in plan.groups],
        "on_overlap": planned.groups.on_overlap.value,
        "groups": {
            group_plan.group.name: _group_document(planned, group_plan, now)
            for group_plan in plan.groups
            if group in {None, group_plan.group.name}
        },
        "edges": [dataclasses.asdict(edge) for edge in plan.edges if group in {None, edge.upstream, edge.downstream}],
        "problems": _problem_documents(planned, plan.problems),
        "warnings": _problem_documents(planned, plan.warnings),
        "left_out": [
            {"what": entry.what, "why": entry.why, "count": len(entry.nodes), "nodes": list(entry.nodes)}
            for entry in plan.not_built
        ],
    }


def node_document(planned: PlannedProject, unique_id: str) -> Mapping[str, Any]:
    """Return why a node or test is where the plan has it, and the problems that name it."""
    problems = _problem_documents(planned, planned.plan.problems)
    return {
        **dataclasses.asdict(explain(planned, unique_id)),
        "problems": [problem for problem in problems if unique_id in problem["nodes"]],
    }


def _group_document(planned: PlannedProject, group_plan: GroupPlan, now: datetime) -> Mapping[str, Any]:
    group = group_plan.group
    return {
        **group.model_dump(mode="json", include=_GROUP_KEYS),
        "next_ticks": [tick.isoformat() for tick in next_ticks(group, now, _TICKS)],
        "waits_for": list(planned.plan.before(group.name)),
        "nodes": list(group_plan.nodes),
        "tests": [test.unique_id for test in group_plan.tests],
        "unit_tests": list(group_plan.unit_tests),
        "refreshes": list(group_plan.refreshes),
        "refreshed_tests": list(group_plan.refreshed_tests),
        "checks": {test.unique_id: test.node for test in group_plan.tests},
    }


def _problem_documents(planned: PlannedProject, problems: Collection[Problem]) -> list[Mapping[str, Any]]:
    manifest = planned.project.manifest
    keys = ("nodes", "sources", "functions", "exposures", "metrics", "semantic_models", "saved_queries", "disabled")
    known = {unique_id for key in keys for unique_id in manifest.get(key) or {}} if problems else set[str]()
    return [
        {
            "code": problem.code,
            "message": problem.message,
            "nodes": list(dict.fromkeys(unique_id for line in problem.nodes for unique_id in _ids(line, known))),
            "details": list(problem.nodes),
            "remedy": problem.remedy,
        }
        for problem in problems
    ]


def _ids(line: str, known: Collection[str]) -> list[str]:
    """Return the unique ids in a line of a problem, or the line itself if it has none."""
    words = re.split(r"[\s,()]+", line)
    return [word for word in words if word in known] or [word for word in words if _UNIQUE_ID.match(word)] or [line]
