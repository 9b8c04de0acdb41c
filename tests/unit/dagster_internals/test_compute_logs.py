"""The bucket of run logs is found by private names of Dagster; without them it is not checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.dagster_internals import compute_logs
from analytics_dagster.dagster_internals.compute_logs import cloud_logs
from analytics_dagster.dagster_internals.guard import NO_INTERNALS


@contextmanager
def _instance(folder: Path, *, in_a_bucket: bool) -> Iterator[dg.DagsterInstance]:
    manager = {"module": "dagster_aws.s3", "class": "S3ComputeLogManager", "config": {"bucket": "logs"}}
    overrides = {"compute_logs": manager} if in_a_bucket else {}
    with dg.instance_for_test(temp_dir=str(folder), overrides=overrides) as instance:
        yield instance


def test_the_private_names_are_those_of_the_installed_version() -> None:
    manager, kind = compute_logs._probe()
    assert manager.__name__ == "CloudStorageComputeLogManager"
    assert kind.STDERR


def test_a_bucket_is_named_by_its_manager(tmp_path: Path) -> None:
    with _instance(tmp_path, in_a_bucket=True) as instance:
        logs = cloud_logs(instance)
    assert logs is not None
    assert logs.name == "S3ComputeLogManager"


def test_local_logs_are_not_a_bucket(tmp_path: Path) -> None:
    with _instance(tmp_path, in_a_bucket=False) as instance:
        assert cloud_logs(instance) is None


def test_without_private_names_a_bucket_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    with _instance(tmp_path, in_a_bucket=True) as instance:
        assert cloud_logs(instance) is None
