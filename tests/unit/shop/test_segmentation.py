"""Customer segments: clusters, their names, and the plot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics_dagster.shop.customer_segments import draw
from analytics_dagster.shop.segmentation import Centroid, name_of, segment

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("recency", "frequency", "monetary", "tenure", "name"),
    [
        (-0.5, 1.1, 0.9, 0.8, "champions"),
        (-0.5, 0.6, 0.4, 0.2, "regulars"),
        (1.6, -0.2, 0.3, 0.0, "at risk"),
        (1.8, -1.2, -1.1, 0.0, "lost"),
        (0.3, -2.3, -2.4, -1.9, "new"),
        (0.5, -0.6, 0.6, 0.1, "big spenders"),
        (0.2, -0.8, -0.9, 0.3, "occasional"),
    ],
)
def test_a_segment_is_named_by_its_centroid(
    recency: float, frequency: float, monetary: float, tenure: float, name: str
) -> None:
    assert name_of(Centroid(recency, frequency, monetary, tenure)) == name


def crowd(seed: int = 1) -> pd.DataFrame:
    """Return 90 customers of three distinct kinds: daily, new and lost ones."""
    random = np.random.default_rng(seed)
    kinds = [(1, 150, 1500, 300), (2, 3, 25, 12), (90, 40, 500, 280)]
    middle = np.repeat(np.array(kinds, dtype=float), 30, axis=0)
    values = middle * random.uniform(0.85, 1.15, middle.shape)
    frame = pd.DataFrame(values, columns=["recency_days", "order_count", "revenue", "tenure_days"])
    whole: pd.DataFrame = frame.astype({"recency_days": int, "order_count": int})
    return whole


def test_distinct_kinds_of_customers_are_clustered_and_named() -> None:
    found = segment(crowd())
    assert [set(found.segments[start : start + 30]) for start in (0, 30, 60)] == [{"champions"}, {"new"}, {"at risk"}]
    assert found.silhouette is not None
    assert found.silhouette > 0.6
    assert set(found.silhouettes) == {3, 4, 5, 6}


def test_segments_are_reproducible() -> None:
    assert segment(crowd()) == segment(crowd())


@pytest.mark.parametrize("customers", [0, 1, 3, 90], ids=["none", "one", "three", "ninety alike"])
def test_too_few_different_customers_are_one_segment(customers: int) -> None:
    alike = crowd().iloc[[0] * customers].reset_index(drop=True)
    found = segment(alike)
    assert found.segments == ["regulars"] * customers
    assert found.silhouette is None
    draw(alike.assign(segment=found.segments))
