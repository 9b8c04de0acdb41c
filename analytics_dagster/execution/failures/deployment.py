"""Describes the deployment for failure reports: environment, target, commit, UI address, and secrets to redact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from analytics_dagster.secret_values import secrets_in
from analytics_dagster.settings import Settings


@dataclass(frozen=True)
class DeploymentInfo:
    """Where a location runs. ``secrets`` are values of the settings that no report may contain."""

    environment: str = ""
    target: str = ""
    commit: str = ""
    webserver: str = ""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def run_url(self, run_id: str) -> str:
        """Return the address of a run in the UI; empty if the UI's address is not configured."""
        return f"{self.webserver.rstrip('/')}/runs/{run_id}" if self.webserver else ""


def build_deployment_info(settings: Settings, target: str) -> DeploymentInfo:
    """Return the deployment of a location that builds this dbt target."""
    return DeploymentInfo(
        environment=str(settings.environment.value),
        target=target,
        commit=settings.commit or find_commit(settings.project_dir),
        webserver=settings.webserver_url or "",
        secrets=secrets_in({name: getattr(settings, name) for name in Settings.model_fields}),
    )


def find_commit(folder: Path) -> str:
    """Return the commit of the git checkout that contains a folder; empty if there is none."""
    git = next((one / ".git" for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    if git is None:
        return ""
    try:
        if git.is_file():
            git = (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        # The branches of a git worktree are in its main repository.
        common = git / "commondir"
        shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.exists() else git
        if (shared / name).exists():
            return (shared / name).read_text(encoding="utf-8").strip()
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
