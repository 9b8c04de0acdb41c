"""The tests outside `tests/documents` that execute commands and blocks of the documentation."""

from __future__ import annotations

from collections.abc import Mapping

GATE = ".ci/run"
"""What CI runs: `make lint types`, `make run` in a fresh clone, `make test`."""

BY_HAND = "by hand: "
"""The prefix of the reason why no test executes a command."""

_DEV = "tests/integration/test_ui.py::test_a_job_launched_in_the_ui_builds_its_group_and_its_run_survives_a_restart"
_BENCH = "tests/integration/test_bench.py::test_the_quick_mode_prints_a_table_and_the_machine"
_PAGE = "tests/documents/test_pages.py"

_IMAGE = "tests/image/test_built_image.py::test_the_image_has_commit_and_version_labels_and_an_unprivileged_user"

_ADOPTED = "tests/integration/test_adopting.py::test_init_writes_next_to_the_project_and_shows_the_plan"

_DOCTOR = "tests/integration/test_adopting.py::test_the_doctor_reports_each_problem_without_secrets"

_DOCKER = (
    "docker build --build-arg COMMIT=$(git rev-parse HEAD) --build-arg VERSION=0.1.0 --tag analytics-dagster:0.1.0 ."
)

COVERED: Mapping[str, str] = {
    "analytics-dagster alerts close INCIDENT": (
        "tests/integration/test_alerts_of_commands.py"
        "::test_an_incident_of_a_deleted_model_ends_and_others_are_closed_by_hand"
    ),
    "make run": GATE,
    "make test": GATE,
    "make check": GATE,
    "make test-all": f"{BY_HAND}it takes about an hour; the workflow nightly.yml runs it",
    "make dev": _DEV,
    "analytics-dagster dev": _DEV,
    "make bench": _BENCH,
    'make bench BENCH="--tables build --pairs 5"': _BENCH,
    'make bench BENCH="--quick"': _BENCH,
    'make bench BENCH="--write"': _BENCH,
    "make bench-peers": f"{BY_HAND}Airflow and Prefect are not installed with what the tests need",
    "make lock": f"{BY_HAND}it queries the registry for every version; `make run` installs the result",
    "analytics-dagster init --dbt-project ~/work/my_dbt": _ADOPTED,
    "cd ~/work/my_dbt-dagster": _ADOPTED,
    "analytics-dagster doctor": _DOCTOR,
    "analytics-dagster doctor --json": "tests/integration/test_adopting.py::test_the_doctor_finds_no_error",
    "make docs": f"{_PAGE}::test_the_site_builds_without_warnings_and_loads_nothing_from_the_network",
    "make image": _IMAGE,
    _DOCKER: _IMAGE,
    "helm test analytics": "tests/cluster/test_end_to_end.py::test_helm_test_launches_a_real_run",
    # The tests run in the environment that this command activates.
    ". .venv/bin/activate": GATE,
    "git diff --stat requirements/": f"{BY_HAND}it shows the changes of `make lock`",
    "git tag v0.1.0": f"{BY_HAND}it creates a release",
    "pytest tests/unit/planning/test_plan.py": GATE,
    "(cd dbt_project && dbt build)": (
        "tests/integration/test_shop.py::test_plain_dbt_build_runs_with_unit_tests_and_without_deprecations"
    ),
}
"""The test or script that executes a command or an equivalent one."""

SHOWN: Mapping[tuple[str, str], str] = {
    ("README.md", "Try it"): "tests/integration/test_shop.py::test_the_readme_shows_the_output_of_the_build",
    ("docs/alerts.md", "Incidents and messages"): (
        "tests/unit/alerting/test_alerts_page.py::test_the_messages_are_those_of_the_example_run"
    ),
    ("docs/production.md", "Production"): f"{BY_HAND}a diagram",
    ("docs/production.md", "The image"): _IMAGE,
}
"""The test that checks a block of another language, by page and section."""
