"""Workflows, hooks, devcontainer, issue forms and changelog refer only to existing things."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.documents.pages import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = dict(re.findall(r'^([a-z-]+) = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _commands(workflow: Path) -> list[str]:
    jobs = _yaml(workflow)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_every_required_workflow_exists() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"test", "image", "chart", "release", "update"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_only_existing_make_targets_and_scripts(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    commands = _commands(workflow)
    called = {target for command in commands for target in re.findall(r"\bmake ([a-z-]+)", command)}
    assert called <= targets
    assert called or ".ci/run" in " ".join(commands)
    assert all((ROOT / path).exists() for command in commands for path in re.findall(r"\.ci/\w+", command))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_a_timeout_permissions_and_a_supported_python(workflow: Path) -> None:
    content = _yaml(workflow)
    assert content["permissions"]
    supported = SpecifierSet(PROJECT["requires-python"])
    for job in content["jobs"].values():
        assert job["timeout-minutes"]
        named = [str(step.get("with", {}).get("python-version", "")) for step in job["steps"]]
        named += [str(one) for one in job.get("strategy", {}).get("matrix", {}).get("python", [])]
        assert all(one in supported for one in named if one and "{" not in one)


def test_pre_commit_hooks_use_the_tools_of_the_environment() -> None:
    [local] = _yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        program = Path(hook["entry"].split()[0])
        assert program.parts[:2] == (".venv", "bin")
        assert Path(sys.executable).with_name(program.name).exists()


def test_the_devcontainer_creates_the_environment_of_its_editor() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make .venv/dev"
    assert re.search(r"^\$\(VENV\)/dev:", MAKEFILE, flags=re.MULTILINE)
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert all((ROOT / schema).exists() for schema in settings["yaml.schemas"])


def test_issue_forms_have_labelled_fields() -> None:
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert forms
    for form in forms:
        content = _yaml(form)
        assert content["name"]
        assert all(field["attributes"]["label"] for field in content["body"])


def test_every_code_owners_rule_matches_a_file() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert all((ROOT / pattern.strip("/")).exists() for pattern in patterns[1:])


def test_the_changelog_has_the_version_of_package_and_chart() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}]" in changes
    chart = _yaml(ROOT / "helm" / "analytics-dagster" / "Chart.yaml")
    assert str(chart["appVersion"]) == PROJECT["version"]
