"""The contents of the files that `init` writes, and the rule that a user's changes are never overwritten."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import yaml

from analytics_dagster.cli.init.proposal import Proposal, ProposedGroup
from analytics_dagster.redaction import digest
from analytics_dagster.settings import variable_name

GROUPS = "schedule_groups.yaml"
ENVIRONMENT = ".env"

_HOME, _DATA, _TARGET = ".dagster_home", "data", "target"
_RETRIES = 2
_HEAD = "# Written by `analytics-dagster init` ({digest}). If you change this file, your version is kept."
_STAMP = re.compile(r"^# Written by `analytics-dagster init` \((?P<digest>[0-9a-f]{12})\)\..*\n")

GITIGNORE = "\n".join([ENVIRONMENT, f"{_HOME}/", f"{_DATA}/", f"{_TARGET}/", "*.new", ""])

PYPROJECT = Path(__file__).with_name("pyproject.template.toml").read_text("utf-8")
"""For `dagster definitions validate` and `dg`."""

MODULE = 'from analytics_dagster.definitions import defs\n\n__all__ = ["defs"]\n'
"""For `dg`, which loads a module in the folder."""


class FileOutcome(str, Enum):
    """What was done with a file."""

    WRITTEN = "written"
    UPDATED = "updated"
    """It was as an earlier call had written it."""
    UNCHANGED = "unchanged"
    KEPT = "yours, kept"
    """A user has changed it, and there is nothing new."""
    NEW_BESIDE = "yours, kept; the new version has .new after its name"
    """A user has changed or written it; the new contents are in a file with `.new` after its name."""


def write_file(path: Path, body: str) -> FileOutcome:
    """Write a file whose comments begin with `#`, unless a user has changed or written it.

    Its first line holds the digest of the rest as it was written, which shows a change.
    """
    stamped = f"{_HEAD.format(digest=digest(body))}\n{body}"
    if not path.exists():
        path.write_text(stamped, encoding="utf-8")
        return FileOutcome.WRITTEN
    current = path.read_text(encoding="utf-8")
    if current == stamped:
        return FileOutcome.UNCHANGED
    stamp = _STAMP.match(current)
    if stamp is not None and digest(current[stamp.end() :]) == stamp["digest"]:
        path.write_text(stamped, encoding="utf-8")
        return FileOutcome.UPDATED
    if stamp is not None and stamp["digest"] == digest(body):
        return FileOutcome.KEPT
    path.with_name(f"{path.name}.new").write_text(stamped, encoding="utf-8")
    return FileOutcome.NEW_BESIDE


@dataclass(frozen=True)
class ScaffoldInputs:
    """What the files depend on. Folders are absolute; ``profiles`` is None if dbt finds `profiles.yml` without help.

    ``chosen`` are settings from the user's environment, by variable.
    """

    folder: Path
    project: Path
    profiles: Path | None
    time_zone: str
    chosen: Mapping[str, str]


def environment_file(inputs: ScaffoldInputs) -> str:
    """Return `.env` with the settings; paths are relative to the folder in which commands run."""
    folder, project = inputs.folder, inputs.project
    values = {
        "dbt_project_dir": os.path.relpath(project, folder),
        "dbt_profiles_dir": os.path.relpath(inputs.profiles, folder) if inputs.profiles else None,
        "dbt_target_path": os.path.relpath(folder / _TARGET, project),
        "schedule_groups_file": GROUPS,
        "time_zone": inputs.time_zone,
        "data_dir": _DATA,
        # Dagster needs an absolute path.
        "dagster_home": str(folder / _HOME),
    }
    settings = {variable_name(field): value for field, value in values.items() if value is not None}
    return "\n".join(
        [
            "# Read by `analytics-dagster`, `dagster` and `dg` when they run in this folder. Put secrets here too (a",
            "# Slack token, what profiles.yml reads by env_var), and never commit this file. dbt's artifacts are in",
            "# this folder, so that dbt commands in the project do not make them stale.",
            *(f"{name}={_quoted(value)}" for name, value in {**settings, **inputs.chosen}.items()),
            "",
        ]
    )


def _quoted(value: str) -> str:
    plain = all(character.isalnum() or character in "_-./:+=@," for character in value)
    return value if plain else "'" + value.replace("'", "\\'") + "'"


def groups_file(proposal: Proposal) -> str:
    """Return the schedule groups, each with its reason."""
    lines = [
        "# Which nodes run together, and when; `analytics-dagster plan` shows the result. docs/schedule_groups.md",
        "# describes all keys; `analytics-dagster schema` prints a JSON schema for editors.",
    ]
    if proposal.first_wins:
        lines += ["# A node that several groups select belongs to the first one.", "on_overlap: first"]
    lines.append("groups:")
    for group in proposal.groups:
        lines += [f"  {'-' if not number else ' '} {line}" for number, line in enumerate(_group_lines(group))]
    return "\n".join([*lines, ""])


def _group_lines(group: ProposedGroup) -> Iterator[str]:
    notes = f" # {'; '.join(group.notes)}" if group.notes else ""
    yield f"name: {group.name}"
    yield f"select: {json.dumps(group.select, ensure_ascii=False)}{notes}"
    yield f'cron: "{group.cadence.cron}"'
    yield f"retries: {_RETRIES} # only what failed, and only for transient errors"
    if group.after_ingestion:
        yield "after_ingestion: true # new files in the landing zone also start it"
    if group.reads_previous:
        yield f"reads_previous: [{', '.join(group.reads_previous)}] # it runs more often, and reads their last results"
    if group.default:
        yield "default: true # takes every node that no group selects"
        yield "docs: true # its runs generate dbt's documentation of the project"


def helm_file(proposal: Proposal, inputs: ScaffoldInputs, target: str, adapter: str) -> str:
    """Return values of the Helm chart with the same groups and settings, and placeholders to fill in."""
    name = inputs.project.name.lower().replace("_", "-")
    groups = yaml.safe_load(groups_file(proposal))
    content = {
        "image": {"repository": f"registry.example.com/{name}", "tag": "0.1.0"},
        "analytics": {"environment": "prod", "timeZone": inputs.time_zone, "scheduleGroups": groups},
        "warehouse": {"type": "profile", "target": target, "profile": {"existingSecret": f"{name}-dbt-profile"}},
    }
    lines = [
        "# For production: helm install RELEASE helm/analytics-dagster --values helm-values.yaml",
        "# docs/production.md describes the image with your project, storage and permissions. Create the Secret with",
        f"# kubectl create secret generic {name}-dbt-profile --from-file=profiles.yml",
    ]
    if adapter == "duckdb":
        lines.append(f"# The target {target!r} is a DuckDB file, which pods can't share: use another target.")
    return "\n".join([*lines, yaml.safe_dump(content, sort_keys=False, allow_unicode=True)])
