"""Renders the whole plan, one group, or the explanation of one node for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analytics_dagster.cli.plan.explanation import ByGroup, Explanation, kind_of, selection_of
from analytics_dagster.cli.plan.planned_project import PlannedProject
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.groups import FullRefresh, OnUpstreamFailure, ScheduleGroup
from analytics_dagster.planning.plan import Edge, PlannedTest, Problem
from analytics_dagster.text import pluralize

_TICKS = 3
_UPSTREAM_FAILURE = {
    OnUpstreamFailure.RUN: "runs even if one of them fails",
    OnUpstreamFailure.SKIP: "is skipped if one of them fails",
    OnUpstreamFailure.WAIT: "if one of them fails, waits for its retries, and is skipped if these fail too",
}
_FULL_REFRESH = {
    FullRefresh.ON_REQUEST: "on request",
    FullRefresh.NEVER: "never: a request is refused",
    FullRefresh.ALWAYS: "in every run",
}


def plan_report(planned: PlannedProject, now: datetime) -> RenderableType:
    """Return the whole plan: groups in order, the edges between them, nodes without a run, warnings and problems."""
    plan = planned.plan
    parts: list[RenderableType] = [_headline(planned), _groups_table(planned, now), *_edges(planned, plan.edges)]
    if plan.not_built:
        parts.append("[bold]Not built by a run[/]")
        parts += [f"  {entry.what} ({len(entry.nodes)}): [dim]{escape(entry.why)}[/]" for entry in plan.not_built]
        parts.append("")
    return Group(*parts, *_verdict(planned))


def group_report(planned: PlannedProject, name: str, now: datetime) -> RenderableType:
    """Return one group: when and how it runs, what it waits for, and its nodes and tests in order."""
    plan = planned.plan
    group_plan = plan.by_name[name]
    group = group_plan.group
    before = plan.before(name)
    default = ["every node that no group selects (default group)"] if group.default else []
    facts = {
        "selects": "; and ".join(filter(None, [selection_of(group), *default])),
        "runs": _runs(group, now),
        "waits for": f"{', '.join(before)}; {_UPSTREAM_FAILURE[group.on_upstream_failure]}" if before else "no group",
        "waited for by": ", ".join(other for other in plan.by_name if name in plan.before(other)) or "no group",
        "vars": ", ".join(group.variables),
        "full refresh": _FULL_REFRESH[group.full_refresh],
        "retries": f"{group.retries}, only of what failed" if group.retries else "none",
    }
    nodes = sorted(group_plan.nodes, key=planned.graph.position.__getitem__)
    unit_tests = [(planned.name(unit_test), "") for unit_test in group_plan.unit_tests]
    refreshed_tests = [plan.tests[test] for test in group_plan.refreshed_tests]
    place = list(plan.by_name).index(name) + 1
    return Group(
        f"[bold]{escape(name)}[/], group {place} of {len(plan.groups)}",
        _facts(facts),
        "",
        *_edges(planned, [edge for edge in plan.edges if name in {edge.upstream, edge.downstream}]),
        *_listing("Nodes, in build order", [_node_row(planned, node, name) for node in nodes]),
        *_listing("Refreshed nodes of other groups", [_node_row(planned, one, name) for one in group_plan.refreshes]),
        *_listing("Tests", [_test_row(planned, test) for test in group_plan.tests]),
        *_listing("Tests of the refreshed nodes", [_test_row(planned, test) for test in refreshed_tests]),
        *_listing("Unit tests, run only with ANALYTICS_UNIT_TESTS=true", unit_tests),
        *_verdict(planned),
    )


def node_report(planned: PlannedProject, explanation: Explanation) -> RenderableType:
    """Return why a node or test is where the plan has it, what runs before it, and where its tests run."""
    also = "run in" if explanation.kind == "test" else "refreshed by"
    facts = {
        "group": f"{explanation.group or 'none'}: {explanation.why}",
        f"also {also}": ", ".join(explanation.also_in),
        "asset": explanation.asset or "",
        "check of": explanation.check_of or "",
        "waits for": ", ".join(explanation.waits_for),
        **_facts_by_group(planned, "reads", explanation.reads),
        "reads sources": ", ".join(map(planned.name, explanation.sources)),
        **_facts_by_group(planned, "read by", explanation.read_by),
        **_facts_by_group(planned, "tests in", explanation.tests),
    }
    path = f", {explanation.path}" if explanation.path else ""
    headline = f"[bold]{escape(explanation.unique_id)}[/] [dim]({escape(explanation.kind + path)})[/]"
    problems = [problem for problem in planned.plan.problems if _names(problem, explanation.unique_id)]
    return Group(headline, _facts(facts), "", *_problems("Problem", "red", problems))


def _facts(facts: Mapping[str, str]) -> Table:
    """Return names and values as a table, without empty values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, escape(value))
    return table


def _facts_by_group(planned: PlannedProject, title: str, found: ByGroup | None) -> dict[str, str]:
    return {f"{title} {group}": ", ".join(map(planned.name, ids)) for group, ids in (found or {}).items()}


def _headline(planned: PlannedProject) -> str:
    plan, project = planned.plan, planned.project
    nodes, tests = sum(len(group.nodes) for group in plan.groups), sum(len(group.tests) for group in plan.groups)
    name = escape(str(project.manifest["metadata"].get("project_name") or project.directory.name))
    groups = pluralize(len(plan.groups), "schedule group")
    return f"[bold]{name}[/]: {pluralize(nodes, 'node')} and {pluralize(tests, 'test')} in {groups}"


def _groups_table(planned: PlannedProject, now: datetime) -> Table:
    plan = planned.plan
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("group", no_wrap=True)
    table.add_column("runs", overflow="fold")
    table.add_column("nodes", overflow="fold")
    table.add_column("tests", justify="right")
    optional = {
        "unit tests": [len(group.unit_tests) for group in plan.groups],
        "refreshes": [len(group.refreshes) for group in plan.groups],
        "their tests": [len(group.refreshed_tests) for group in plan.groups],
    }
    shown = {title: counts for title, counts in optional.items() if any(counts)}
    for title in shown:
        table.add_column(title, justify="right")
    for place, group_plan in enumerate(plan.groups):
        group = group_plan.group
        types = Counter(str(planned.graph.nodes[node]["resource_type"]) for node in group_plan.nodes)
        table.add_row(
            escape(group.name) + ("\n[dim]default[/]" if group.default else ""),
            escape(_runs(group, now)),
            ", ".join(pluralize(number, kind) for kind, number in types.most_common()) or "none",
            str(len(group_plan.tests)),
            *(str(counts[place] or "") for counts in shown.values()),
        )
    return table


def _runs(group: ScheduleGroup, now: datetime) -> str:
    lines = []
    if group.cron:
        lines = [f"{' and '.join(group.cron)} ({group.time_zone})", f"next {_moments(next_ticks(group, now, _TICKS))}"]
    if group.after_ingestion:
        lines.append("after ingestion")
    return "\n".join(lines) or "by hand"


def _moments(moments: Iterable[datetime]) -> str:
    """Return moments with the day only where it changes."""
    shown, day = [], None
    for moment in moments:
        shown.append(f"{moment:%a %d %b %H:%M}" if moment.date() != day else f"{moment:%H:%M}")
        day = moment.date()
    return ", ".join(shown)


def _edges(planned: PlannedProject, edges: Sequence[Edge]) -> list[RenderableType]:
    rows = []
    for edge in edges:
        arrow, mark = ("⇢", "[dim]from its last run:[/] ") if edge.previous else ("→", "")
        groups = f"  {escape(edge.upstream)} [bold]{arrow}[/] {escape(edge.downstream)}"
        rows.append((groups, f"{mark}{escape(planned.name(edge.child))} reads {escape(planned.name(edge.parent))}"))
    return _table("[bold]Order[/]: the group on the right reads what the left one builds; for example:", rows)


def _listing(title: str, rows: Sequence[tuple[str, str]]) -> list[RenderableType]:
    cells = [(f"  {escape(name)}", f"[dim]{escape(about)}[/]") for name, about in rows]
    return _table(f"[bold]{title}[/] ({len(rows)})", cells)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> list[RenderableType]:
    """Return a title and two columns of markup; nothing without rows."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return [title, table, ""] if rows else []


def _node_row(planned: PlannedProject, node: str, group: str) -> tuple[str, str]:
    owner = planned.plan.group_of[node]
    about = [kind_of(planned, node)]
    about += [] if planned.selecting(node) else ["by default"]
    about += [] if owner == group else [f"of {owner}"]
    return planned.name(node), "; ".join(about)


def _test_row(planned: PlannedProject, test: PlannedTest) -> tuple[str, str]:
    return planned.name(test.unique_id), f"check of {planned.name(test.node)}" if test.node else ""


def _verdict(planned: PlannedProject) -> Iterator[RenderableType]:
    plan = planned.plan
    yield from _problems("Warning", "yellow", plan.warnings)
    yield from _problems("Problem", "red", plan.problems)
    if not plan.problems:
        yield Text("Every node is in one group, and every test runs once.", style="green")


def _problems(title: str, color: str, problems: Iterable[Problem]) -> Iterator[RenderableType]:
    for problem in problems:
        yield f"[bold {color}]{title}[/] [dim]{escape(problem.code)}[/]"
        yield Text(f"  {problem}\n")


def _names(problem: Problem, unique_id: str) -> bool:
    return any(unique_id in line.replace(",", " ").split() for line in problem.nodes)
