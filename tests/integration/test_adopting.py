"""`init` and `doctor` for other projects: the written files work with our commands and Dagster's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart_model import Values
from tests.conftest import COMMAND, ProjectCopy, copy_project

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adopting.md").read_text(encoding="utf-8")
FILES = set(re.findall(r"^\| `([^`]+)` \|", PAGE.partition("<!-- files -->")[2], flags=re.MULTILINE))


@dataclass(frozen=True)
class Team:
    """A folder with a dbt project and nothing else."""

    copy: ProjectCopy

    @property
    def folder(self) -> Path:
        """Where `init` writes."""
        return self.copy.project.with_name(f"{self.copy.project.name}-dagster")

    def init(self) -> subprocess.CompletedProcess[str]:
        """Run `init` in another folder."""
        return self.type("init", "--dbt-project", str(self.copy.project), cwd=self.copy.folder)

    def type(
        self, *arguments: str, cwd: Path | None = None, program: Path = COMMAND, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, with only the given variables of ours."""
        environment = {"COLUMNS": "200", "HOME": str(self.copy.folder), "DAGSTER_DISABLE_TELEMETRY": "1"}
        return subprocess.run(
            [program, *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, **environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def fingerprint(self) -> Mapping[str, str]:
        """Return the digest of every file of the dbt project."""
        files = [path for path in self.copy.project.rglob("*") if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class InitResult:
    """The output of the first `init`, and the project before and after it."""

    team: Team
    said: subprocess.CompletedProcess[str]
    before: Mapping[str, str]
    after: Mapping[str, str]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> InitResult:
    """Run `init` for a bank: its staging models have a cadence tag, its seeds and marts have none."""
    team = Team(copy_project(ProjectCopy(tmp_path_factory.mktemp("bank"), "versioned_bank")))
    (team.copy.project / "schedule_groups.yaml").unlink()
    before = team.fingerprint()
    said = team.init()
    return InitResult(team, said, before, team.fingerprint())


def test_init_writes_next_to_the_project_and_shows_the_plan(bank: InitResult) -> None:
    assert bank.said.returncode == 0, bank.said.stdout + bank.said.stderr
    assert {path.name for path in bank.team.folder.iterdir() if path.is_file()} == FILES
    assert "Every node is in one group, and every test runs once." in bank.said.stdout
    assert bank.said.stdout.strip().splitlines()[-2].split("#")[0].strip() == "analytics-dagster build"
    assert bank.said.stdout.strip().splitlines()[-1].split("#")[0].strip() == "analytics-dagster dev"


def test_init_does_not_change_the_project(bank: InitResult) -> None:
    assert bank.after == bank.before


def test_the_groups_come_from_the_tags(bank: InitResult) -> None:
    content = yaml.safe_load((bank.team.folder / "schedule_groups.yaml").read_text())
    groups = {group["name"]: group for group in content["groups"]}
    assert list(groups) == ["intraday", "daily"]
    assert groups["intraday"]["select"] == "+tag:intraday"
    assert groups["daily"]["default"] is True


def test_our_commands_and_dagsters_work_in_the_folder(bank: InitResult) -> None:
    plan = bank.team.type("plan", "--json")
    assert plan.returncode == 0, plan.stderr
    assert list(json.loads(plan.stdout)["groups"]) == ["intraday", "daily"]
    dagster = bank.team.type("definitions", "validate", program=Path(sys.executable).with_name("dagster"))
    assert "All code locations passed validation" in dagster.stdout + dagster.stderr
    dg = bank.team.type("check", "defs", program=Path(sys.executable).with_name("dg"))
    assert "All definitions loaded successfully" in dg.stdout + dg.stderr


def test_the_helm_values_are_valid_for_the_chart(bank: InitResult) -> None:
    values = yaml.safe_load((bank.team.folder / "helm-values.yaml").read_text())
    Values.model_validate(values)
    assert [group["name"] for group in values["analytics"]["scheduleGroups"]["groups"]] == ["intraday", "daily"]


def test_init_can_be_repeated_and_keeps_a_users_changes(bank: InitResult) -> None:
    changed, project = bank.team.folder / "workspace.yaml", bank.team.folder / "pyproject.toml"
    written, project_written = changed.read_text(), project.read_text()
    changed.write_text(f"{written}# mine\n")
    project.write_text("[project]\nname = 'mine'\n")
    again = bank.team.init()
    assert again.returncode == 0, again.stderr
    assert changed.read_text() == f"{written}# mine\n"
    assert {path.name for path in bank.team.folder.iterdir() if path.is_file()} == FILES | {"pyproject.toml.new"}
    outcomes = dict(
        line.split(maxsplit=1) for line in again.stdout.splitlines() if line.startswith("  ") and "." in line
    )
    assert outcomes["workspace.yaml"].strip() == "yours, kept"
    assert outcomes["schedule_groups.yaml"].strip() == "unchanged"
    # The other tests use the same folder, in any order.
    changed.write_text(written)
    project.write_text(project_written)
    (bank.team.folder / "pyproject.toml.new").unlink()


def _findings(said: subprocess.CompletedProcess[str]) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for finding in json.loads(said.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_the_doctor_finds_no_error(bank: InitResult) -> None:
    said = bank.team.type("doctor", "--json")
    assert said.returncode == 0, said.stdout
    findings = _findings(said)
    assert {finding["status"] for check in findings.values() for finding in check} <= {"ok", "warning"}
    assert {
        "versions",
        "settings",
        "dbt project",
        "manifest",
        "schedule groups",
        "warehouse",
        "Dagster storage",
    } <= set(findings)
    assert "up to date" in findings["manifest"][0]["said"]


def test_the_doctor_reports_each_problem_without_secrets(bank: InitResult) -> None:
    said = bank.team.type(
        "doctor",
        ANALYTICS_SLACK_TOKEN="xoxb-hunter22-secret",  # noqa: S106
        ANALYTICS_SLACK_CHANNEL="#data",
        ANALYTICS_SLACK_API_URL="http://127.0.0.1:9/api/",
        ANALYTICS_SMTP_URL="smtp://me:hunter22@127.0.0.1:9",
        ANALYTICS_MAIL_FROM="dagster@example.com",
        ANALYTICS_LANDING_URL="nowhere://me:hunter22@host/landing",
        ANALYTICS_TIMEZONE="Europe/Berlin",
    )
    assert said.returncode == 1
    assert "hunter22" not in said.stdout + said.stderr
    for told in ("Slack does not answer", "mail server", "nowhere://host/landing", "Did you mean ANALYTICS_TIME_ZONE?"):
        assert told in " ".join(said.stdout.split())


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["lending_library", "two_sources", "overlapping", "bare"])
def test_init_and_build_work_for_any_project(name: str, tmp_path: Path) -> None:
    team = Team(copy_project(ProjectCopy(tmp_path, name)))
    before = team.fingerprint()
    said = team.init()
    assert said.returncode == 0, said.stdout + said.stderr
    after = team.fingerprint()
    # `dbt deps` installs packages in the project.
    left = {path for path in after.keys() - before.keys() if "dbt_packages" not in path}
    assert {Path(path).name for path in left} <= {"package-lock.yml"}
    assert {path: after[path] for path in before} == before
    built = team.type("build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert team.type("doctor").returncode == 0
    dg = team.type("check", "defs", program=Path(sys.executable).with_name("dg"))
    assert "All definitions loaded successfully" in dg.stdout + dg.stderr
