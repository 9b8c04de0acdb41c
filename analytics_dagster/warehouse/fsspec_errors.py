"""Turns errors of fsspec drivers into a cause without secrets, and a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from analytics_dagster.redaction import redact
from analytics_dagster.secret_values import secrets_in
from analytics_dagster.settings import variable_name

_OPTIONS = variable_name("landing_storage_options")

# Each driver has its own errors, so they are recognized by name and message. The words are those of s3fs and botocore,
# gcsfs, adlfs and their servers.
_REFUSED = re.compile(
    r"AccessDenied|access denied|InvalidAccessKeyId|SignatureDoesNotMatch|signature we calculated|\bforbidden\b"
    r"|Unable to locate credentials|NoCredentials|PartialCredentials|CredentialsError|AuthenticationFailed|ExpiredToken"
    r"|not have .{0,40}access|\b40[13]\b",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"NoSuchBucket|bucket does not exist|container does not exist|ContainerNotFound", re.IGNORECASE)
_OUT_OF_REACH = re.compile(
    r"EndpointConnection|connect to the endpoint|ConnectTimeout|ClientConnector|ServiceRequestError|TimeoutError"
    r"|ConnectionError|Connection(Refused|Reset)|refused|no answer within|name resolution|Name or service not known",
    re.IGNORECASE,
)


def shown(url: str) -> str:
    """Return a URL without user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def cause_of(error: BaseException, url: str, options: Mapping[str, Any]) -> str:
    """Return a driver's error in one line, without secrets."""
    text = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}".replace(url, shown(url))
    # The account of a bucket is hidden too. Elsewhere it is shown: an error of Snowflake is unclear without it.
    accounts = {value for name, value in _flat(options) if "account" in name.lower()}
    return redact(text, secrets_in(options) | accounts)


def remedy_of(error: BaseException, setting: str) -> str:
    """Return the remedy for a driver's error; ``setting`` is the field of the settings with the URL."""
    return remedy_for(error, variable_name(setting), _OPTIONS)


def remedy_for(error: BaseException, variable: str, options: str) -> str:
    """Return the remedy for a driver's error; ``variable`` has the URL, ``options`` is that of the credentials."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        return "Install the missing package in the environment that runs Dagster."
    if isinstance(error, PermissionError) or _REFUSED.search(message):
        return (
            f"Correct the key or its secret in the environment or in {options}, or grant it permission to list, read "
            f"and write {variable}."
        )
    if isinstance(error, FileNotFoundError) or _ABSENT.search(message):
        return f"Create the bucket, or correct its name in {variable}."
    if _OUT_OF_REACH.search(message):
        return f"Check that the server runs and that its address is reachable from here ({variable}, {options})."
    return f"Correct {variable} or {options}, or check that the location is reachable."


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        inner = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, inner)
        else:
            yield inner, str(value)
