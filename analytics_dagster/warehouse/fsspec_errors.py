"""Why a place that fsspec opens can't be used: the cause without secrets, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from analytics_dagster.redaction import SECRET_NAME
from analytics_dagster.settings import variable_name

_OPTIONS = variable_name("landing_storage_options")

# Each driver has errors of its own; what they have in common is said in their names and messages. The words are those
# of s3fs and botocore, gcsfs, adlfs and of the servers behind them.
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
    """Return a URL without the user and password that it may hold."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def cause_of(error: BaseException, url: str, options: Mapping[str, Any]) -> str:
    """Return what a driver said, in a line without the secrets that it may repeat."""
    text = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no word of why'}".replace(url, shown(url))
    for name, value in _flat(options):
        # The account of a bucket is hidden too. Elsewhere it is shown: an error of Snowflake is unclear without it.
        if value and (SECRET_NAME.search(name) or "account" in name.lower()):
            text = text.replace(value, "***")
    return text


def remedy_of(error: BaseException, setting: str) -> str:
    """Return what to do about an error of a driver; ``setting`` is the field that names the place."""
    return remedy_for(error, variable_name(setting), _OPTIONS)


def remedy_for(error: BaseException, variable: str, options: str) -> str:
    """Return what to do about an error of a place that ``variable`` names, and ``options`` gives the keys of."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        return "Install what is missing, in the environment that runs Dagster."
    if isinstance(error, PermissionError) or _REFUSED.search(said):
        return (
            f"Correct the key or its secret, which the environment or {options} gives, or give it the right to list, "
            f"read and write what {variable} names."
        )
    if isinstance(error, FileNotFoundError) or _ABSENT.search(said):
        return f"Create the bucket, or correct its name in {variable}."
    if _OUT_OF_REACH.search(said):
        return f"See that the server runs, and that its address leads to it from here ({variable}, {options})."
    return f"Correct {variable} or {options}, or see that the place can be reached and used."


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        inner = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, inner)
        else:
            yield inner, str(value)
