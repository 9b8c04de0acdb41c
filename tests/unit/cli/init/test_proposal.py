"""The plan of proposed schedule groups has no problem, whatever the tags are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.cli.init.files import groups_file
from analytics_dagster.cli.init.proposal import Proposal, cadence_of, propose
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph
from tests.unit.manifests import Manifest

TAGS = ("hourly", "daily", "weekly", "monthly", "finance", "every_2_hours")


def _content(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest with the drawn tags, and sources without a landing path."""
    content = dict(manifest.content)
    for tag, nodes in manifest.tagged.items():
        for node in nodes:
            content["nodes"][node].setdefault("tags", []).append(tag)
    return content


def _selected(content: dict[str, Any], select: str) -> frozenset[str]:
    """Return what dbt selects, for the few selection methods that a proposal uses."""
    graph = Graph(content)
    found: set[str] = set()
    for word in select.split():
        name = word.removeprefix("+").partition(":")[2]
        named = {node for node in graph.built if word == "*" or name in content["nodes"][node].get("tags", [])}
        found |= named | (graph.upstream(frozenset(named)) if word.startswith("+") else frozenset())
    return frozenset(found)


def _plan(content: dict[str, Any], proposal: Proposal) -> Plan:
    groups = ScheduleGroups.model_validate(yaml.safe_load(groups_file(proposal)))
    asked = {group.selection: _selected(content, str(group.select)) for group in groups.groups if group.selection}
    return make_plan(groups, content, asked)


@st.composite
def _projects(draw: st.DrawFn) -> Manifest:
    manifest = Manifest()
    for number in range(draw(st.integers(1, 9))):
        reads = [f"model.p.m{other}" for other in range(number) if draw(st.booleans())]
        tags = draw(st.lists(st.sampled_from(TAGS), max_size=2, unique=True))
        manifest.model(f"m{number}", *reads, tag=tags)
    return manifest


@given(_projects())
def test_the_plan_of_a_proposal_has_no_problem(manifest: Manifest) -> None:
    content = _content(manifest)
    proposal = propose(content)
    plan = _plan(content, proposal)
    assert [str(problem) for problem in plan.problems] == []
    # The default group may have no node yet.
    [default] = [group.name for group in proposal.groups if group.default]
    assert [str(warning) for warning in plan.warnings if f"group {default} " not in warning.message] == []
    nodes = [node for group in plan.groups for node in group.nodes]
    assert sorted(nodes) == sorted(Graph(content).built)


@given(_projects())
def test_a_tagged_node_runs_at_least_as_often_as_its_tag(manifest: Manifest) -> None:
    """A tagged node runs at least as often as the most frequent of its tags."""
    content = _content(manifest)
    proposal = propose(content)
    plan = _plan(content, proposal)
    hours = {group.name: group.cadence.hours for group in proposal.groups}
    for tag, nodes in manifest.tagged.items():
        cadence = cadence_of(tag)
        assert all(cadence is None or hours[plan.group_of[node]] <= cadence.hours for node in nodes)


def test_a_project_without_cadence_tags_runs_daily() -> None:
    proposal = propose(_content(Manifest().model("a", tag="finance").seed("b")))
    assert [(one.name, one.select, one.default) for one in proposal.groups] == [("daily", "*", True)]


def test_untagged_nodes_run_with_the_group_that_reads_them() -> None:
    manifest = Manifest().seed("raw").model("staging", "seed.p.raw")
    manifest.model("live", "model.p.staging", tag="hourly").model("report", "model.p.live", tag="nightly").model(
        "alone"
    )
    proposal = propose(_content(manifest))
    hourly, nightly = proposal.groups
    assert hourly.select == "+tag:hourly"
    assert hourly.notes == ("also builds 2 nodes without this tag that it reads",)
    assert (nightly.name, nightly.select, nightly.default) == ("nightly", "tag:nightly", True)
    assert not proposal.first_wins


def test_a_slower_tag_is_kept_if_a_faster_group_reads_the_node() -> None:
    manifest = Manifest().model("budget", tag="monthly").model("live", "model.p.budget", tag="hourly")
    hourly, monthly = propose(_content(manifest)).groups
    assert hourly.select == "tag:hourly"
    assert hourly.reads_previous == ("monthly",)
    assert monthly.default, "nothing is left for a group of its own"


def test_a_cadence_can_be_in_meta() -> None:
    content = _content(Manifest().model("a").model("b", tag="daily"))
    content["nodes"]["model.p.a"]["config"]["meta"] = {"refresh": "hourly"}
    assert [group.select for group in propose(content).groups] == ["config.meta.refresh:hourly", "tag:daily"]


def test_a_tag_that_dbt_cannot_select_is_ignored() -> None:
    content = _content(Manifest().model("a"))
    content["nodes"]["model.p.a"]["tags"] = ["every 2 hours", "run,daily"]
    assert [group.select for group in propose(content).groups] == ["*"]


def test_new_files_start_the_most_frequent_group() -> None:
    content = _content(
        Manifest().source("orders").model("a", "source.p.s.orders", tag="hourly").model("b", tag="daily")
    )
    content["sources"]["source.p.s.orders"]["meta"] = {"landing": {"path": "orders/*.csv"}}
    assert [group.after_ingestion for group in propose(content).groups] == [True, False]


# --- cadences ---


@pytest.mark.parametrize(
    ("word", "name", "cron"),
    [
        ("hourly", "hourly", "0 * * * *"),
        ("Daily", "daily", "0 6 * * *"),
        ("nightly", "nightly", "0 6 * * *"),
        ("schedule:weekly", "weekly", "0 6 * * 1"),
        ("refresh-monthly", "monthly", "0 6 1 * *"),
        ("run_daily", "daily", "0 6 * * *"),
        ("workdays", "weekdays", "0 6 * * 1-5"),
        ("every_15_minutes", "every_15_minutes", "*/15 * * * *"),
        ("15min", "every_15_minutes", "*/15 * * * *"),
        ("2h", "every_2_hours", "0 */2 * * *"),
        ("every-hour", None, ""),
        ("1h", "hourly", "0 * * * *"),
        ("60min", "hourly", "0 * * * *"),
        ("every 24 hours", "daily", "0 6 * * *"),
        ("7h", None, ""),
        ("0min", None, ""),
        ("daily_active_users", None, ""),
        ("hourly weekly", None, ""),
        ("finance", None, ""),
        ("", None, ""),
    ],
)
def test_a_word_names_a_cadence_or_none(word: str, name: str | None, cron: str) -> None:
    cadence = cadence_of(word)
    assert (cadence and cadence.name) == name
    if cadence is not None:
        assert cadence.cron == cron
        dg.ScheduleDefinition(job_name="any", cron_schedule=cadence.cron)


def test_the_words_in_the_documentation_name_a_cadence() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "adopting.md").read_text(encoding="utf-8")
    sentence = page.partition("makes a group of that name:")[2].partition(". Then")[0]
    words = re.findall(r"`([^`]+)`", sentence)
    assert len(words) == 13
    assert [word for word in words if cadence_of(word) is None] == []


def test_cadences_are_ordered_by_their_interval() -> None:
    words = ["monthly", "15min", "yearly", "daily", "weekly", "hourly", "quarterly", "2h", "weekdays"]
    found = sorted(cadence for cadence in map(cadence_of, words) if cadence)
    assert [cadence.name for cadence in found] == [
        "every_15_minutes",
        "hourly",
        "every_2_hours",
        "daily",
        "weekdays",
        "weekly",
        "monthly",
        "quarterly",
        "yearly",
    ]
