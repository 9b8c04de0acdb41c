"""Errors of bucket drivers become one line without secrets, and a remedy."""

from __future__ import annotations

import pytest

from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_of, shown

OPTIONS = {"key": "AKIAEXAMPLE", "client_kwargs": {"aws_secret_access_key": "hunter22", "region_name": "eu"}}


class ClientError(Exception):
    """The name of botocore's error that s3fs does not translate."""


class EndpointConnectionError(Exception):
    """The name of botocore's error for an unreachable address."""


# Messages of s3fs from a real server, and of gcsfs and adlfs from their source code.
ERRORS = [
    (FileNotFoundError("The specified bucket does not exist"), "Create the bucket", FailureKind.CODE),
    (ClientError("An error occurred (NoSuchBucket) when calling PutObject"), "Create the bucket", FailureKind.CODE),
    (
        PermissionError("The access key ID you provided does not exist in our records."),
        "Correct the key",
        FailureKind.PERMISSION,
    ),
    (
        PermissionError("The request signature we calculated does not match the signature you provided."),
        "Correct the key",
        FailureKind.PERMISSION,
    ),
    (OSError("Forbidden: https://storage.googleapis.com/b, 403"), "Correct the key", None),
    (ClientError("Unable to locate credentials"), "Correct the key", FailureKind.PERMISSION),
    (
        EndpointConnectionError('Could not connect to the endpoint URL: "http://127.0.0.1:1/b"'),
        "Check that the server runs",
        FailureKind.CONNECTION,
    ),
    (TimeoutError("no answer within 20 s"), "Check that the server runs", None),
    (ImportError("Install s3fs to access S3"), "Install the missing package", None),
    (ValueError("Protocol not known: nowhere"), "or check that the location is reachable", None),
]


@pytest.mark.parametrize(("error", "remedy", "kind"), ERRORS, ids=lambda value: str(value)[:40])
def test_each_error_of_a_driver_has_its_remedy(error: Exception, remedy: str, kind: FailureKind | None) -> None:
    cause, actual = cause_of(error, "s3://b", {}), remedy_of(error, "reports_url")
    assert cause.startswith(f"{type(error).__name__}: ")
    assert remedy in actual
    assert isinstance(error, ImportError) or "ANALYTICS_REPORTS_URL" in actual
    # As it stands in the error of a step; the remedy's words do not make it another kind.
    assert kind is None or classify(f"s3://b can't be written: {cause}\n  -> {actual}") is kind


def test_a_secret_is_not_in_the_cause() -> None:
    error = OSError("403 for AKIAEXAMPLE\nwith hunter22 in eu at s3://me:sesame@b/x")
    cause = cause_of(error, "s3://me:sesame@b/x", OPTIONS)
    assert cause == "OSError: 403 for *** with *** in eu at s3://b/x"
    assert shown("s3://me:sesame@b/x") == "s3://b/x"


def test_an_error_without_a_message_is_shown_by_its_name() -> None:
    assert cause_of(TimeoutError(), "s3://b", {}) == "TimeoutError: no message"
