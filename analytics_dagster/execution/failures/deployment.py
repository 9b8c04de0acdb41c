"""Where the location runs, as reports tell it (environment, target, commit, the UI), and what they never tell."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from analytics_dagster.execution.failures.events import Place
from analytics_dagster.redaction import secret_values
from analytics_dagster.settings import Settings, environment_variables


def make_place(settings: Settings, target: str) -> Place:
    """Return the place of a location that builds a target of its profile."""
    return Place(
        environment=str(settings.environment.value),
        target=target,
        commit=settings.commit or find_commit(settings.project_dir),
        webserver=settings.webserver_url or "",
        secrets=secret_values(environment_variables(), _secrets(settings)),
    )


def _secrets(settings: Settings) -> list[str]:
    values = [getattr(settings, name) for name in Settings.model_fields]
    values += [one for value in values if isinstance(value, dict) for one in value.values()]
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def find_commit(folder: Path) -> str:
    """Return the commit that is checked out around a folder; nothing where there is none."""
    git = next((place / ".git" for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if git is None:
        return ""
    try:
        if git.is_file():
            git = (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        # A worktree's branches lie in the repository that it is of.
        common = git / "commondir"
        shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.exists() else git
        if (shared / name).exists():
            return (shared / name).read_text(encoding="utf-8").strip()
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
