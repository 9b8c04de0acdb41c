"""The plan for people: the whole of it, one group, or why one node is where it is; as what rich prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analytics_dagster.cli.plan.explanation import ByGroup, Explanation, kind_of, way_of
from analytics_dagster.cli.plan.planned_project import PlannedProject
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.groups import FullRefresh, OnUpstreamFailure, ScheduleGroup
from analytics_dagster.planning.plan import Edge, PlannedTest, Problem
from analytics_dagster.text import pluralize

_TICKS = 3
_UPSTREAM_FAILURE = {
    OnUpstreamFailure.RUN: "if one of them fails it runs all the same",
    OnUpstreamFailure.SKIP: "if one of them fails it is skipped",
    OnUpstreamFailure.WAIT: "if one of them fails it waits for the retries, and is skipped if these fail too",
}
_FULL_REFRESH = {
    FullRefresh.ON_REQUEST: "on request",
    FullRefresh.NEVER: "never: a request is refused",
    FullRefresh.ALWAYS: "in every run",
}


def plan_report(planned: PlannedProject, now: datetime) -> RenderableType:
    """Return the whole plan: groups in order, the edges between them, what is left out, warnings and problems."""
    parts: list[RenderableType] = [_headline(planned), _groups_table(planned, now)]
    parts += _edges(planned, planned.plan.edges)
    if planned.plan.not_built:
        parts.append("[bold]Built by no run of their own[/]")
        parts += [
            f"  {entry.what} ({len(entry.nodes)}): [dim]{escape(entry.why)}[/]" for entry in planned.plan.not_built
        ]
        parts.append("")
    return Group(*parts, *_verdict(planned))


def group_report(planned: PlannedProject, name: str, now: datetime) -> RenderableType:
    """Return one group: when and how it runs, what it waits for, and every node and test of it in order."""
    plan = planned.plan
    group_plan = plan.by_name[name]
    group = group_plan.group
    before = plan.before(name)
    after = [other for other in plan.by_name if name in plan.before(other)]
    place = list(plan.by_name).index(name) + 1
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    default = "; and every node that no group selects (default group)" if group.default else ""
    for what, value in {
        "selects": way_of(group) + default,
        "runs": _runs(group_plan.group, now),
        "waits for": f"{', '.join(before)}; {_UPSTREAM_FAILURE[group.on_upstream_failure]}" if before else "no group",
        "waited for by": ", ".join(after) or "no group",
        "vars": ", ".join(group.variables),
        "full refresh": _FULL_REFRESH[group.full_refresh],
        "retries": f"{group.retries}, of what failed alone" if group.retries else "none",
    }.items():
        if value:
            facts.add_row(what, escape(value))
    parts: list[RenderableType] = [f"[bold]{escape(name)}[/], group {place} of {len(plan.groups)}", facts, ""]
    parts += _edges(planned, [edge for edge in plan.edges if name in {edge.upstream, edge.downstream}])
    nodes = sorted(group_plan.nodes, key=planned.graph.position.__getitem__)
    parts += _listing("Nodes, in the order of the build", [_node_row(planned, node, name) for node in nodes])
    refreshed = [_node_row(planned, node, name) for node in group_plan.refreshes]
    parts += _listing("Refreshed too, though another group's", refreshed)
    parts += _listing("Tests", [_test_row(planned, test) for test in group_plan.tests])
    tests = [_test_row(planned, plan.tests[test]) for test in group_plan.refreshed_tests]
    parts += _listing("Tests of what is refreshed", tests)
    units = [(planned.name(unit), "") for unit in group_plan.unit_tests]
    parts += _listing("Unit tests, run where ANALYTICS_UNIT_TESTS is on", units)
    return Group(*parts, *_verdict(planned))


def node_report(planned: PlannedProject, explanation: Explanation) -> RenderableType:
    """Return why a node or test is where the plan has it, what runs before it, and where its tests run."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    rows = [("group", f"{explanation.group}: {explanation.why}" if explanation.group else f"none: {explanation.why}")]
    again = "run in" if explanation.kind == "test" else "refreshed by"
    rows += [(f"also {again}", f"{', '.join(explanation.also_in)}, in its own runs")] if explanation.also_in else []
    rows += [("asset", explanation.asset)] if explanation.asset else []
    rows += [("check of", explanation.check_of)] if explanation.check_of else []
    rows += [("waits for", f"the group's run waits for {', '.join(explanation.waits_for)}")] * bool(
        explanation.waits_for
    )
    rows += _rows_by_group(planned, "reads", explanation.reads)
    rows += [("reads sources", ", ".join(map(planned.name, explanation.sources)))] if explanation.sources else []
    rows += _rows_by_group(planned, "read by", explanation.read_by)
    rows += _rows_by_group(planned, "tests in", explanation.tests)
    for what, value in rows:
        facts.add_row(what, escape(value))
    where = f", {explanation.path}" if explanation.path else ""
    headline = f"[bold]{escape(explanation.unique_id)}[/] [dim]({escape(explanation.kind + where)})[/]"
    about = [problem for problem in planned.plan.problems if _concerns(problem, explanation.unique_id)]
    return Group(headline, facts, "", *_problems("Problem", "red", about))


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
    extra = {
        "unit tests": [len(group.unit_tests) for group in plan.groups],
        "refreshes": [len(group.refreshes) for group in plan.groups],
        "their tests": [len(group.refreshed_tests) for group in plan.groups],
    }
    shown = {title: counts for title, counts in extra.items() if any(counts)}
    for title in shown:
        table.add_column(title, justify="right")
    for place, group_plan in enumerate(plan.groups):
        group = group_plan.group
        table.add_row(
            escape(group.name) + ("\n[dim]default[/]" if group.default else ""),
            escape(_runs(group_plan.group, now)),
            _by_type(planned, group_plan.nodes),
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


def _moments(moments: Sequence[datetime]) -> str:
    """Return moments in short: the day once for all that are on it."""
    shown, day = [], None
    for moment in moments:
        shown.append(f"{moment:%a %d %b %H:%M}" if moment.date() != day else f"{moment:%H:%M}")
        day = moment.date()
    return ", ".join(shown)


def _by_type(planned: PlannedProject, nodes: Iterable[str]) -> str:
    types = Counter(str(planned.graph.nodes[node]["resource_type"]) for node in nodes)
    return ", ".join(pluralize(number, kind) for kind, number in types.most_common()) or "none"


def _edges(planned: PlannedProject, edges: Sequence[Edge]) -> list[RenderableType]:
    if not edges:
        return []
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for edge in edges:
        mark = "[dim]as its last run left it:[/] " if edge.previous else ""
        table.add_row(
            f"  {escape(edge.upstream)} [bold]{'⇢' if edge.previous else '→'}[/] {escape(edge.downstream)}",
            f"{mark}{escape(planned.name(edge.child))} reads {escape(planned.name(edge.parent))}",
        )
    return ["[bold]Order[/]: what the group on the left builds, the one on the right reads; for example:", table, ""]


def _node_row(planned: PlannedProject, node: str, group: str) -> tuple[str, str]:
    owner = planned.plan.group_of[node]
    about = [kind_of(planned, node)]
    about += [] if planned.takers(node) else ["by default"]
    about += [] if owner == group else [f"of {owner}"]
    return planned.name(node), "; ".join(about)


def _test_row(planned: PlannedProject, test: PlannedTest) -> tuple[str, str]:
    return planned.name(test.unique_id), f"check of {planned.name(test.node)}" if test.node else ""


def _listing(title: str, rows: Sequence[tuple[str, str]]) -> list[RenderableType]:
    if not rows:
        return []
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for name, about in rows:
        table.add_row(f"  {escape(name)}", escape(about))
    return [f"[bold]{title}[/] ({len(rows)})", table, ""]


def _rows_by_group(planned: PlannedProject, title: str, found: ByGroup | None) -> list[tuple[str, str]]:
    return [
        (f"{title} {group}", ", ".join(planned.name(unique_id) for unique_id in unique_ids))
        for group, unique_ids in (found or {}).items()
    ]


def _verdict(planned: PlannedProject) -> Iterator[RenderableType]:
    plan = planned.plan
    yield from _problems("Warning", "yellow", plan.warnings)
    yield from _problems("Problem", "red", plan.problems)
    if not plan.problems:
        yield Text("Every node is in one group, and every test runs once.", style="green")


def _problems(title: str, color: str, problems: Sequence[Problem]) -> Iterator[RenderableType]:
    for problem in problems:
        yield f"[bold {color}]{title}[/] [dim]{escape(problem.code)}[/]"
        yield Text(f"  {problem}\n")


def _concerns(problem: Problem, unique_id: str) -> bool:
    return any(unique_id in line.replace(",", " ").split() for line in problem.nodes)
