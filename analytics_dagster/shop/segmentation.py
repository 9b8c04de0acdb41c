"""Segments of customers from recency, frequency and value: features, clusters, names. No I/O, no chance.

RFM: Hughes, "Strategic Database Marketing" (1994). The number of clusters is the one of the best silhouette:
Rousseeuw, "Silhouettes" (1987); one below 0.25 means that no structure was found (Kaufman and Rousseeuw, 1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

FEATURES = ("recency_days", "order_count", "revenue", "tenure_days")
"""The columns that describe a customer; the last one only names clusters, the others make them."""

NO_STRUCTURE_BELOW = 0.25

_CLUSTERED = 3
_MOST_CLUSTERS = 6
_FEWEST_CLUSTERS = 3
_SAMPLE = 5_000  # the silhouette compares every customer with every other
_SEED = 20_240_501

# What tells one centroid from another, in standard deviations.
_AWAY = 1.0
_MUCH = 0.75
_SOME = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Centroid:
    """The middle of a cluster, in standard deviations of the logarithms from the average customer."""

    recency: float
    frequency: float
    monetary: float
    tenure: float


@dataclass(frozen=True)
class Segmentation:
    """A segment's name for each customer, in the order of the input, and how distinct the clusters are.

    ``silhouette`` lies between -1 and 1; it is None when there were too few customers to cluster.
    """

    segments: list[str]
    clusters: list[int]
    silhouette: float | None
    silhouettes: dict[int, float]


def segment(customers: pd.DataFrame) -> Segmentation:
    """Cluster the customers, one row each with the columns `FEATURES`, and name the clusters.

    With too few different customers for clusters all are one.
    """
    features = _standardized(customers)
    clustered = features[:, :_CLUSTERED]
    distinct = len(np.unique(clustered, axis=0))
    candidates = range(_FEWEST_CLUSTERS, min(_MOST_CLUSTERS, distinct - 1) + 1)
    fitted = {count: _clusters(clustered, count) for count in candidates}
    silhouettes = {count: _silhouette(clustered, labels) for count, labels in fitted.items()}
    if not silhouettes:
        return Segmentation(["regulars"] * len(customers), [0] * len(customers), None, {})
    best = max(silhouettes, key=lambda count: silhouettes[count])
    labels = fitted[best]
    names = {
        cluster: name_of(Centroid(*(float(value) for value in features[labels == cluster].mean(axis=0))))
        for cluster in range(best)
    }
    return Segmentation(
        [names[int(label)] for label in labels], [int(label) for label in labels], silhouettes[best], silhouettes
    )


def name_of(centroid: Centroid) -> str:
    """Return what a cluster is called, by what sets it apart; two that are alike share a name.

    The first of these that holds: away for long (`at risk`, or `lost` if they were worth little), first seen
    lately and with few orders (`new`), both frequent and worth much (`champions`), few orders but large ones
    (`big spenders`), few orders (`occasional`); else `regulars`.
    """
    rules = (
        (centroid.recency >= _AWAY and centroid.monetary <= -_MUCH, "lost"),
        (centroid.recency >= _AWAY, "at risk"),
        (centroid.tenure <= -_SOME and centroid.frequency <= -_SOME, "new"),
        (centroid.frequency + centroid.monetary >= 2 * _MUCH, "champions"),
        (centroid.monetary - centroid.frequency >= _MUCH, "big spenders"),
        (centroid.frequency <= -_SOME, "occasional"),
    )
    return next((name for holds, name in rules if holds), "regulars")


def _standardized(customers: pd.DataFrame) -> Floats:
    """Return the features, shape (customers, 4), as standard scores of logarithms: all four have long tails."""
    values = np.log1p(customers[list(FEATURES)].to_numpy(dtype=np.float64).clip(min=0))
    scaled: Any = StandardScaler().fit_transform(values) if len(values) else values
    return np.asarray(scaled, dtype=np.float64)


def _clusters(features: Floats, count: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each customer, numbered from the most recent and most valuable one."""
    model = KMeans(n_clusters=count, n_init=10, random_state=_SEED).fit(features)
    order = np.argsort(model.cluster_centers_ @ np.array([1.0, -1.0, -1.0]))
    return np.asarray(np.argsort(order)[model.labels_], dtype=np.int64)


def _silhouette(features: Floats, labels: npt.NDArray[np.int64]) -> float:
    size = min(_SAMPLE, len(features))
    return float(silhouette_score(features, labels, sample_size=size, random_state=_SEED))
