"""The manifest's graph: built nodes, what reads what, and sources that are the relation of a built node."""

from __future__ import annotations

import pytest

from tests.unit.manifests import Manifest


def chain() -> Manifest:
    """Return a graph of a source, a seed and models; `e` and `f` are ephemeral."""
    return (
        Manifest()
        .source("raw")
        .seed("s")
        .model("x", "source.p.s.raw", "seed.p.s")
        .model("e", "model.p.x", "source.p.s.raw", materialized="ephemeral")
        .model("f", "model.p.e", materialized="ephemeral")
        .snapshot("y", "model.p.f")
        .function("g")
        .model("z", "snapshot.p.y", "function.p.g", materialized="view")
        .test("t", "model.p.f", "model.p.z")
        .other("analysis", "analysis.p.why")
        .other("operation", "operation.p.hook")
    )


def test_only_models_seeds_snapshots_and_functions_are_built() -> None:
    graph = chain().graph
    assert graph.built == {"seed.p.s", "model.p.x", "snapshot.p.y", "function.p.g", "model.p.z"}
    assert graph.ephemeral == {"model.p.e", "model.p.f"}
    assert graph.tests.keys() == {"test.p.t"}


@pytest.mark.parametrize(
    ("reader", "reads"),
    [
        ("seed.p.s", set()),
        ("model.p.x", {"source.p.s.raw", "seed.p.s"}),
        ("snapshot.p.y", {"model.p.x", "source.p.s.raw"}),
        ("model.p.z", {"snapshot.p.y", "function.p.g"}),
        ("test.p.t", {"model.p.x", "source.p.s.raw", "model.p.z"}),
    ],
)
def test_reads_pass_through_ephemeral_models(reader: str, reads: set[str]) -> None:
    graph = chain().graph
    assert graph.reads(reader) == reads
    assert graph.parents(reader) == reads - {"source.p.s.raw"}


def test_readers_are_the_inverse_of_reads() -> None:
    graph = chain().graph
    assert graph.readers == {
        "source.p.s.raw": {"model.p.x", "snapshot.p.y"},
        "seed.p.s": {"model.p.x"},
        "model.p.x": {"snapshot.p.y"},
        "snapshot.p.y": {"model.p.z"},
        "function.p.g": {"model.p.z"},
    }


def test_every_node_has_a_position_after_its_parents() -> None:
    graph = chain().graph
    assert graph.position.keys() == graph.built
    for node in graph.built:
        assert all(graph.position[parent] < graph.position[node] for parent in graph.parents(node))


def test_upstream_is_all_ancestors_without_the_given_nodes() -> None:
    graph = chain().graph
    assert graph.upstream(frozenset({"snapshot.p.y", "model.p.x"})) == {"seed.p.s"}
    assert graph.upstream(frozenset({"model.p.z"})) == {"snapshot.p.y", "model.p.x", "seed.p.s", "function.p.g"}
    assert graph.upstream(frozenset()) == frozenset()


@pytest.mark.parametrize(
    ("beside", "rather", "checked"),
    [
        (None, (), "model.p.z"),
        ("source.p.s.raw", (), "source.p.s.raw"),
        ("model.p.e", (), "model.p.z"),
        (None, ["model.p.x"], "model.p.x"),
        ("model.p.z", ["model.p.x"], "model.p.z"),
    ],
)
def test_a_test_checks_its_attached_node_else_the_last_node_that_it_reads(
    beside: str | None, rather: list[str], checked: str
) -> None:
    manifest = chain().test("u", "model.p.z", "model.p.e", beside=beside)
    assert manifest.graph.checked("test.p.u", rather) == checked


def test_a_test_that_reads_nothing_checks_nothing() -> None:
    assert chain().test("u").graph.checked("test.p.u") is None


@pytest.mark.parametrize(("model", "checked"), [("x", "model.p.x"), ("f", "model.p.x"), ("lone", None)])
def test_a_unit_test_checks_its_model_or_the_parent_of_an_ephemeral_one(model: str, checked: str | None) -> None:
    manifest = chain().model("lone", materialized="ephemeral").unit_test("u", f"model.p.{model}")
    assert manifest.graph.checked("unit_test.p.u") == checked


# --- sources that are a built node ----------------------------------------------------------------------------


def test_reading_a_source_that_is_a_built_nodes_relation_reads_the_node() -> None:
    graph = Manifest().seed("rates").source("r", relation="Rates").model("x", "source.p.s.r").graph
    assert graph.built_as == {"source.p.s.r": "seed.p.rates"}
    assert graph.reads("model.p.x") == {"source.p.s.r", "seed.p.rates"}
    assert graph.readers == {"source.p.s.r": {"model.p.x"}, "seed.p.rates": {"model.p.x"}}


def test_a_source_with_another_relation_is_no_built_node() -> None:
    assert Manifest().seed("rates").source("rates").model("x", "source.p.s.rates").graph.built_as == {}


def test_an_ephemeral_model_has_no_relation() -> None:
    graph = Manifest().model("e", materialized="ephemeral").source("e", relation="e").graph
    assert graph.built_as == {}


def test_a_node_that_reads_its_own_relation_as_a_source_does_not_read_itself() -> None:
    graph = Manifest().source("own", relation="x").model("x", "source.p.s.own").graph
    assert graph.reads("model.p.x") == {"source.p.s.own"}
    assert graph.position == {"model.p.x": 0}


def test_a_source_is_not_the_node_that_is_built_from_it() -> None:
    # y later overwrites the table that x reads.
    graph = Manifest().source("raw", relation="y").model("x", "source.p.s.raw").model("y", "model.p.x").graph
    assert graph.built_as == {}
    assert graph.position.keys() == {"model.p.x", "model.p.y"}


def test_two_sources_that_would_close_a_cycle_are_no_edges() -> None:
    manifest = (
        Manifest()
        .source("a", relation="x")
        .source("b", relation="y")
        .model("x", "source.p.s.b")
        .model("y", "source.p.s.a")
    )
    graph = manifest.graph
    assert graph.built_as == {"source.p.s.a": "model.p.x"}
    assert graph.position == {"model.p.x": 0, "model.p.y": 1}


def test_a_manifest_without_functions_and_unit_tests_is_read() -> None:
    graph = type(chain().graph)({"nodes": {}, "sources": {}})
    assert (graph.built, graph.tests, graph.unit_tests) == (frozenset(), {}, {})
