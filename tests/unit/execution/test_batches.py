"""What dbt is started for, one after the other, as tables."""

from __future__ import annotations

import pytest

from analytics_dagster.execution.batches import spoiled, waves
from analytics_dagster.execution.events import NodeResult
from tests.unit.manifests import Manifest


def ids(text: str) -> set[str]:
    """Return unique ids of names: `t…` are tests, `s…` seeds, `u…` unit tests, and others models."""
    kinds = {"t": "test", "s": "seed", "u": "unit_test"}
    return {f"{kinds.get(name[0], 'model')}.p.{name}" for name in text.split()}


def shop() -> Manifest:
    """`early` reads a seed as a source, `late` reads it in turn, and `other` neither."""
    return (
        Manifest()
        .seed("seed", relation="raw")
        .source("raw", relation="raw")
        .model("between", "source.p.s.raw", materialized="ephemeral")
        .model("early", "model.p.between")
        .model("late", "model.p.early", "seed.p.seed")
        .model("other")
        .test("t_seed", "seed.p.seed")
        .test("t_source", "source.p.s.raw")
        .test("t_early", "model.p.early")
        .test("t_other", "model.p.other")
        .unit_test("u", "model.p.early")
    )


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            "seed early late other t_seed t_source t_early t_other u",
            ["seed other t_seed t_other", "early late t_source t_early u"],
        ),
        ("early late t_source u", ["early late t_source u"]),
        ("seed late", ["seed late"]),
        ("seed t_source", ["seed", "t_source"]),
        ("", []),
    ],
)
def test_what_reads_a_nodes_relation_as_a_source_is_built_by_a_dbt_that_starts_later(
    build: str, expected: list[str]
) -> None:
    found = waves(shop().graph, ids(build))
    assert list(found) == [ids(wave) for wave in expected]


def test_sources_that_follow_on_one_another_make_as_many_waves() -> None:
    manifest = Manifest().seed("seed", relation="raw").source("raw", relation="raw")
    manifest.model("early", "source.p.s.raw", relation="early").source("mid", relation="early")
    manifest.model("late", "source.p.s.mid")
    assert list(waves(manifest.graph, ids("seed early late"))) == [ids("seed"), ids("early"), ids("late")]


def test_without_such_sources_there_is_one_wave_whatever_is_built() -> None:
    manifest = Manifest().model("early").source("raw").model("late", "model.p.early", "source.p.s.raw")
    assert list(waves(manifest.graph, ids("early late"))) == [ids("early late")]


def results(text: str) -> list[NodeResult]:
    """Return results of words such as `early:error`."""
    return [
        NodeResult(next(iter(ids(name))), name, status, None, None, "i")
        for name, status in (word.split(":") for word in text.split())
    ]


@pytest.mark.parametrize(
    ("before", "left_out"),
    [
        ("seed:success t_seed:pass", ""),
        ("seed:success t_seed:warn", ""),
        ("seed:error", "early late t_source t_early u"),
        ("seed:skipped", "early late t_source t_early u"),
        # As in one build: what a failed test concerns is not built upon, but the other tests of it are run.
        ("seed:success t_seed:fail", "early late t_early u"),
        ("other:error t_other:skipped seed:success", ""),
    ],
)
def test_what_reads_what_failed_in_an_earlier_wave_is_left_out_of_the_later_ones(before: str, left_out: str) -> None:
    wave = ids("early late t_source t_early u")
    assert spoiled(shop().graph, wave, results(before)) == ids(left_out)
