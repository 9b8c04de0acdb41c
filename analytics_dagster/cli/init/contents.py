"""What the written files hold. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from analytics_dagster.cli.init.proposal import Proposal, ProposedGroup
from analytics_dagster.settings import variable_name

GROUPS = "schedule_groups.yaml"
ENVIRONMENT = ".env"
HELM = "helm-values.yaml"
MODULE = "orchestration.py"

_HOME, _DATA, _TARGET = ".dagster_home", "data", "target"
_RETRIES = 2
_DOCS = "its runs end with dbt's own documentation of the project"


@dataclass(frozen=True)
class Site:
    """Where everything lies: absolute folders; ``profiles`` only where dbt would not find it by itself.

    ``chosen`` are settings that the caller's environment holds, by variable.
    """

    folder: Path
    project: Path
    profiles: Path | None
    time_zone: str
    chosen: Mapping[str, str]


def environment_file(site: Site) -> str:
    """Return the settings, as `.env` holds them: paths are relative to the folder where commands are typed."""
    values = {
        "dbt_project_dir": _relative(site.project, site.folder),
        "dbt_profiles_dir": _relative(site.profiles, site.folder) if site.profiles else None,
        "dbt_target_path": _relative(site.folder / _TARGET, site.project),
        "schedule_groups_file": GROUPS,
        "time_zone": site.time_zone,
        "data_dir": _DATA,
        # Dagster wants an absolute one.
        "dagster_home": str(site.folder / _HOME),
    }
    settings = {variable_name(field): value for field, value in values.items() if value is not None}
    lines = [f"{name}={_quoted(value)}" for name, value in {**settings, **site.chosen}.items()]
    return "\n".join(
        [
            "# Read by `analytics-dagster`, `dagster` and `dg` when they are typed in this folder. Secrets belong here",
            "# too (a token of Slack, what profiles.yml reads by env_var), and this file never into a repository.",
            "# dbt's artifacts lie here, so that a dbt which is called in the project does not make them stale.",
            *lines,
            "",
        ]
    )


def workspace_file() -> str:
    """Return what `dagster dev` and `dagster-webserver` open in this folder."""
    module = {"module_name": "analytics_dagster.definitions", "location_name": "analytics_dagster"}
    return yaml.safe_dump({"load_from": [{"python_module": module}]}, sort_keys=False)


def pyproject_file() -> str:
    """Return what `dagster definitions validate` and `dg` read in this folder."""
    return """[tool.dagster]
module_name = "analytics_dagster.definitions"
code_location_name = "analytics_dagster"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "orchestration"
defs_module = "orchestration"
code_location_target_module = "orchestration"
code_location_name = "analytics_dagster"
"""


def module_file() -> str:
    """Return the module that `dg` loads, which wants one that lies in the folder."""
    return """from analytics_dagster.definitions import defs

__all__ = ["defs"]
"""


def gitignore_file() -> str:
    """Return what of this folder belongs into no repository."""
    return "\n".join([ENVIRONMENT, f"{_HOME}/", f"{_DATA}/", f"{_TARGET}/", "*.new", ""])


def groups_file(proposal: Proposal) -> str:
    """Return the schedule groups, with the reason of each beside it."""
    head = [
        "# Which nodes run together, and when: `analytics-dagster plan` shows the outcome. docs/schedule_groups.md",
        "# has all keys; `analytics-dagster schema` prints a JSON schema by which an editor checks this file.",
    ]
    overlap = ["# A node that several groups select is the first one's, which runs more often.", "on_overlap: first"]
    lines = [*head, *(overlap if proposal.first_wins else []), "groups:"]
    for group in proposal.groups:
        lines += [f"  {'-' if not number else ' '} {line}" for number, line in enumerate(_group_lines(group))]
    return "\n".join([*lines, ""])


def _group_lines(group: ProposedGroup) -> Iterator[str]:
    yield f"name: {group.name}"
    yield f"select: {json.dumps(group.select, ensure_ascii=False)}{_comment('; '.join(group.notes))}"
    yield f'cron: "{group.cadence.cron}"'
    yield f"retries: {_RETRIES}{_comment('of what failed, where it may pass by itself')}"
    if group.after_ingestion:
        yield f"after_ingestion: true{_comment('new files in the landing zone start it too')}"
    if group.reads_previous:
        names = ", ".join(group.reads_previous)
        yield f"reads_previous: [{names}]{_comment('it runs more often: what these built last is meant')}"
    if group.default:
        yield f"default: true{_comment('takes every node that no group selects')}"
        yield f"docs: true{_comment(_DOCS)}"


def _comment(text: str) -> str:
    return f" # {text}" if text else ""


def helm_file(proposal: Proposal, site: Site, target: str, adapter: str) -> str:
    """Return values of the Helm chart: the same groups and settings, and what is to be filled in."""
    name = site.project.name.lower().replace("_", "-")
    groups = yaml.safe_load(groups_file(proposal))
    image = {"repository": f"registry.example.com/{name}", "tag": "0.1.0"}
    analytics = {"environment": "prod", "timeZone": site.time_zone, "scheduleGroups": groups}
    warehouse = {"type": "profile", "target": target, "profile": {"existingSecret": f"{name}-dbt-profile"}}
    remarks = [
        "# For production: helm install RELEASE helm/analytics-dagster --values helm-values.yaml",
        "# docs/production.md has the image with your project in it, storage, and who may do what. The Secret of the",
        f"# profile: kubectl create secret generic {name}-dbt-profile --from-file=profiles.yml",
    ]
    if adapter == "duckdb":
        remarks.append(
            f"# The target {target!r} is a DuckDB file, which pods can't share: name one that all can reach."
        )
    content = {"image": image, "analytics": analytics, "warehouse": warehouse}
    return "\n".join([*remarks, yaml.safe_dump(content, sort_keys=False, allow_unicode=True)])


def _relative(path: Path, start: Path) -> str:
    return os.path.relpath(path, start)


def _quoted(value: str) -> str:
    plain = all(character.isalnum() or character in "_-./:+=@," for character in value)
    return value if plain else "'" + value.replace("'", "\\'") + "'"
