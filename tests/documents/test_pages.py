"""The documentation site: generated parts are up to date, every page is included, every link works."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.architecture import Architecture, arrows, draw, layers
from scripts.pages import generated_files
from tests.documents.pages import PAGES, ROOT

CONFIGURATION: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in generated_files()])
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated_files()[path], "run `make docs`"


def _leaves(entries: Any) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else _leaves(value)


def test_every_page_is_in_the_site() -> None:
    of_docs = {path.removeprefix("docs/") for path in PAGES if path.startswith("docs/")}
    assert of_docs - set(_leaves(CONFIGURATION["nav"])) == set(), "add them to the `nav` of mkdocs.yml"


@pytest.mark.parametrize("page", PAGES)
def test_every_linked_file_exists(page: str) -> None:
    text = re.sub(r"(?s)```.*?```", "", (ROOT / page).read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)(#[^)\s]*)?\)", text)
    assert [path for path, _ in links if not (ROOT / page).parent.joinpath(path).is_file()] == []


def test_every_make_target_on_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text("utf-8"))}
    assert {"run", "docs"} <= named <= targets


def test_the_site_loads_nothing_from_other_servers() -> None:
    theme = CONFIGURATION["theme"]
    assert theme["font"] is False
    assert "extra_javascript" not in CONFIGURATION
    assert "analytics" not in CONFIGURATION.get("extra", {})


@pytest.mark.integration
def test_the_site_builds_without_warnings_and_loads_nothing_from_the_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path for path in (tmp_path / "site").rglob("*.html") if path.name != "404.html"]
    assert {path.stem for path in pages} >= {"index", "settings", "operations", "contributing", "chart"}
    fetched = {
        match
        for path in pages
        for match in re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"?(https?:[^\s\">]+)", path.read_text())
    }
    assert fetched == set()


def test_boxes_that_import_each_other_are_an_error() -> None:
    boxes = {"one": "", "other": ""}
    with pytest.raises(ValueError, match="one, other"):
        layers(Architecture(boxes, {"one": frozenset({"other"}), "other": frozenset({"one"})}, {}))


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    imports = {"high": frozenset({"middle", "low"}), "middle": frozenset({"low"}), "low": frozenset[str]()}
    architecture = Architecture(dict.fromkeys(imports, "What it is"), imports, {"errors": "Errors"})
    assert arrows(architecture) == [("high", "middle"), ("middle", "low")]
    assert layers(architecture) == [["high"], ["middle"], ["low"], ["base modules"]]
    assert draw(architecture).count("marker-end") == 2
