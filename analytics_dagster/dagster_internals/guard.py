"""Decides whether private names of Dagster, dagster-dbt or dbt may be used: each use has a public alternative."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

NO_INTERNALS = "ANALYTICS_DAGSTER_NO_INTERNALS"
"""The environment variable that turns off every use of a private name, for tests and for a user after an upgrade."""

_logger = logging.getLogger("analytics_dagster")
_logged: set[str] = set()

T = TypeVar("T")


def available(name: str, probe: Callable[[], T], why: str) -> T | None:
    """Return what ``probe`` returns, or None if the private names that it looks up cannot be used.

    ``probe`` imports the names and may check their signatures with `require_parameters`; it raises `ImportError`,
    `AttributeError` or `TypeError` if one is gone or has changed. ``why`` says what the caller does instead. It is
    logged once per process and name.
    """
    if os.environ.get(NO_INTERNALS, "") not in {"", "0"}:
        reason = f"{NO_INTERNALS} is set"
    else:
        try:
            return probe()
        except (ImportError, AttributeError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
    if name not in _logged:
        _logged.add(name)
        _logger.warning("Not using the private name %s (%s): %s", name, reason, why)
    return None


def require_parameters(function: Callable[..., Any], *names: str) -> None:
    """Raise `TypeError` unless a function takes parameters of these names, in this order, before any others."""
    found = tuple(inspect.signature(function).parameters)
    if found[: len(names)] != names:
        raise TypeError(f"{function.__qualname__} takes {', '.join(found)}; expected {', '.join(names)}")


def require_member(owner: Any, name: str, *parameters: str) -> None:
    """Raise `AttributeError` or `TypeError` unless a module or class has a function that takes these parameters."""
    require_parameters(getattr(owner, name), *parameters)
