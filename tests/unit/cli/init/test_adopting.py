"""Where nothing can be adopted, nothing is written, and the remedy is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_dagster.cli.init.adopting import adopt
from analytics_dagster.errors import ProjectError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a dbt project, as far as its configuration goes."""
    folder = tmp_path / "dbt"
    (folder / "transformations").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shop\nmodel-paths: [transformations]\n")
    return folder


@pytest.mark.parametrize("inside", ["transformations", "transformations/dagster", "seeds", "macros/more"])
def test_a_folder_that_dbt_reads_is_refused(inside: str, project: Path) -> None:
    with pytest.raises(ProjectError, match="dbt reads what lies in") as refused:
        adopt(project, project / inside, print)
    assert "--into" in refused.value.remedy
    assert not (project / inside / ".env").exists()


def test_a_folder_without_a_project_is_refused_with_the_one_that_is_meant(project: Path) -> None:
    with pytest.raises(ProjectError, match=rf"There is one in {project}\."):
        adopt(project.parent, None, print)
    assert list(project.parent.iterdir()) == [project]


def test_a_project_that_can_not_be_read_is_told(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: [")
    with pytest.raises(ProjectError, match="can't be read"):
        adopt(project, None, print)
