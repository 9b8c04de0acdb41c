"""Clusters customers by recency, frequency and monetary value, and names the clusters. Pure and deterministic.

RFM: Hughes, "Strategic Database Marketing" (1994). The number of clusters is that of the best silhouette score:
Rousseeuw, "Silhouettes" (1987). A score below 0.25 means no structure (Kaufman and Rousseeuw, 1990).
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
"""The columns that describe a customer; all but the last are clustered, all are used to name clusters."""

NO_STRUCTURE_BELOW = 0.25

_CLUSTERED = 3
_MOST_CLUSTERS = 6
_FEWEST_CLUSTERS = 3
_SAMPLE = 5_000  # the silhouette score compares all pairs of customers
_SEED = 20_240_501

# Thresholds of a centroid's distance from the average customer, in standard deviations.
_AWAY = 1.0
_MUCH = 0.75
_SOME = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Centroid:
    """The center of a cluster: the distance from the average customer, in standard deviations of the logarithms."""

    recency: float
    frequency: float
    monetary: float
    tenure: float


@dataclass(frozen=True)
class Segmentation:
    """The segment and cluster of each customer, in the order of the input.

    ``silhouette`` is between -1 and 1, and None with too few customers to cluster. ``silhouettes`` are by the number of
    clusters.
    """

    segments: list[str]
    clusters: list[int]
    silhouette: float | None
    silhouettes: dict[int, float]


def segment(customers: pd.DataFrame) -> Segmentation:
    """Cluster the customers, one row each with the columns `FEATURES`, and name the clusters.

    Too few different customers are one cluster.
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
    labels = [int(label) for label in fitted[best]]
    centroids = [features[fitted[best] == cluster].mean(axis=0) for cluster in range(best)]
    names = [name_of(Centroid(*map(float, centroid))) for centroid in centroids]
    return Segmentation([names[label] for label in labels], labels, silhouettes[best], silhouettes)


def name_of(centroid: Centroid) -> str:
    """Return the name of a cluster; similar clusters share a name.

    The first rule that holds: no recent order (`at risk`, or `lost` with a low value), new customers with few orders
    (`new`), many orders of a high value (`champions`), few but large orders (`big spenders`), few orders
    (`occasional`); else `regulars`.
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
    """Return the features, shape (customers, 4), as standard scores of logarithms, since all have long tails."""
    values = np.log1p(customers[list(FEATURES)].to_numpy(dtype=np.float64).clip(min=0))
    scaled: Any = StandardScaler().fit_transform(values) if len(values) else values
    return np.asarray(scaled, dtype=np.float64)


def _clusters(features: Floats, count: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each customer, from 0 for the most recent and most valuable."""
    model = KMeans(n_clusters=count, n_init=10, random_state=_SEED).fit(features)
    order = np.argsort(model.cluster_centers_ @ np.array([1.0, -1.0, -1.0]))
    return np.asarray(np.argsort(order)[model.labels_], dtype=np.int64)


def _silhouette(features: Floats, labels: npt.NDArray[np.int64]) -> float:
    size = min(_SAMPLE, len(features))
    return float(silhouette_score(features, labels, sample_size=size, random_state=_SEED))
