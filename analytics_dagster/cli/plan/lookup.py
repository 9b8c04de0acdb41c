"""Which node, test or group a person means who types a name, the end of one, or nearly one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from analytics_dagster.errors import ProjectError, ScheduleGroupError

_MOST_LISTED = 12
_FIRST_KINDS = ("model", "seed", "snapshot", "function")


def find_group(wanted: str, names: Sequence[str]) -> str:
    """Return the name itself; raises `ScheduleGroupError` that lists those there are."""
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, n=1)
    raise ScheduleGroupError(
        f"There is no schedule group {wanted}." + (f" Is {near[0]} meant?" if near else ""),
        remedy=f"Name one of: {', '.join(names) or 'none'}.",
    )


def find_node(wanted: str, names: Mapping[str, str]) -> str:
    """Return the one unique id that is meant by a unique id, a name, or the end of either.

    ``names`` are what people call each node, by unique id. Where a name is both a built node's and another thing's
    (a test's, a source's), the built node is meant, as in dbt's own selection. Raises `ProjectError` that lists what
    else may be meant.
    """
    if wanted in names:
        return wanted
    ways: tuple[Callable[[str], bool], ...] = (
        lambda unique_id: names[unique_id] == wanted,
        lambda unique_id: unique_id.endswith(f".{wanted}"),
        lambda unique_id: unique_id.endswith(wanted) or names[unique_id].endswith(wanted),
    )
    for meant in ways if wanted else ():
        found = [unique_id for unique_id in names if meant(unique_id)]
        built = [unique_id for unique_id in found if unique_id.partition(".")[0] in _FIRST_KINDS]
        best = built or found
        if len(best) == 1:
            return best[0]
        if best:
            raise ProjectError(
                f"{wanted!r} may mean several nodes of the dbt project:{_listed(best)}",
                remedy="Write one of them out.",
            )
    near = _near(wanted, names)
    raise ProjectError(
        f"The dbt project has no node {wanted!r}" + (f"; near it are:{_listed(near)}" if near else "."),
        remedy="Name a node or test by its unique id, its name, or an end of either that no other has.",
    )


def names_of(manifest: Mapping[str, Any], name: Callable[[str], str]) -> Mapping[str, str]:
    """Return what people call everything that a manifest has, by unique id; ``name`` says it for nodes and sources."""
    named = {
        unique_id: name(unique_id) for key in ("nodes", "sources", "functions") for unique_id in _of(manifest, key)
    }
    for key in ("exposures", "metrics", "semantic_models", "saved_queries", "unit_tests"):
        named.update({unique_id: str(content["name"]) for unique_id, content in _of(manifest, key).items()})
    # What is disabled may be there too, under another package's or version's hand.
    disabled = {unique_id: str(found[0]["name"]) for unique_id, found in _of(manifest, "disabled").items() if found}
    return {**disabled, **named}


def _of(manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return manifest.get(key) or {}


def _near(wanted: str, names: Mapping[str, str]) -> Collection[str]:
    called: dict[str, list[str]] = {}
    for unique_id, name in names.items():
        for form in (name, unique_id, unique_id.split(".", 2)[-1]):
            called.setdefault(form, []).append(unique_id)
    forms = difflib.get_close_matches(wanted, called, n=5)
    return dict.fromkeys(unique_id for form in forms for unique_id in called[form])


def _listed(unique_ids: Collection[str]) -> str:
    shown = sorted(unique_ids)[:_MOST_LISTED]
    more = len(unique_ids) - len(shown)
    return "".join(f"\n    {unique_id}" for unique_id in shown) + (f"\n    and {more} more" if more else "")
