"""Finds the group, node or test that a user names by its name, the end of it, or a misspelling."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from analytics_dagster.errors import ProjectError, ScheduleGroupError

_MAX_LISTED = 12
_BUILT_TYPES = ("model", "seed", "snapshot", "function")


def find_group(wanted: str, names: Sequence[str]) -> str:
    """Return the name itself; raises `ScheduleGroupError` that lists the existing groups."""
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, n=1)
    raise ScheduleGroupError(
        f"There is no schedule group {wanted}." + (f" Did you mean {near[0]}?" if near else ""),
        remedy=f"Name one of: {', '.join(names) or 'none'}.",
    )


def find_node(wanted: str, names: Mapping[str, str]) -> str:
    """Return the unique id for a unique id, a name, or the end of either.

    ``names`` are the short names by unique id. If a built node and something else (a test, a source) match, the built
    node is meant, as in dbt's own selection. Raises `ProjectError` that lists the candidates.
    """
    if wanted in names:
        return wanted
    matches: tuple[Callable[[str], bool], ...] = (
        lambda unique_id: names[unique_id] == wanted,
        lambda unique_id: unique_id.endswith(f".{wanted}"),
        lambda unique_id: unique_id.endswith(wanted) or names[unique_id].endswith(wanted),
    )
    for match in matches if wanted else ():
        found = [unique_id for unique_id in names if match(unique_id)]
        built = [unique_id for unique_id in found if unique_id.partition(".")[0] in _BUILT_TYPES]
        candidates = built or found
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise ProjectError(
                f"{wanted!r} matches several nodes of the dbt project:{_listing(candidates)}",
                remedy="Give the full unique id of one of them.",
            )
    near = _near(wanted, names)
    raise ProjectError(
        f"The dbt project has no node {wanted!r}" + (f"; similar names:{_listing(near)}" if near else "."),
        remedy="Give the unique id or the name of a node or test, or an unambiguous end of either.",
    )


def names_of(manifest: Mapping[str, Any], name: Callable[[str], str]) -> Mapping[str, str]:
    """Return the short name of everything in a manifest, by unique id; ``name`` returns it for nodes and sources."""

    def entries(key: str) -> Mapping[str, Any]:
        return manifest.get(key) or {}

    named = {unique_id: name(unique_id) for key in ("nodes", "sources", "functions") for unique_id in entries(key)}
    for key in ("exposures", "metrics", "semantic_models", "saved_queries", "unit_tests"):
        named.update({unique_id: str(content["name"]) for unique_id, content in entries(key).items()})
    # A disabled node may have the unique id of an enabled one.
    disabled = {unique_id: str(found[0]["name"]) for unique_id, found in entries("disabled").items() if found}
    return {**disabled, **named}


def _near(wanted: str, names: Mapping[str, str]) -> Collection[str]:
    forms: dict[str, list[str]] = {}
    for unique_id, name in names.items():
        for form in (name, unique_id, unique_id.split(".", 2)[-1]):
            forms.setdefault(form, []).append(unique_id)
    near = difflib.get_close_matches(wanted, forms, n=5)
    return dict.fromkeys(unique_id for form in near for unique_id in forms[form])


def _listing(unique_ids: Collection[str]) -> str:
    shown = sorted(unique_ids)[:_MAX_LISTED]
    more = len(unique_ids) - len(shown)
    return "".join(f"\n    {unique_id}" for unique_id in shown) + (f"\n    and {more} more" if more else "")
