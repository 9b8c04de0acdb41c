"""Secrets in models, tests and profiles appear neither in the terminal nor in anything that Dagster stores."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from tests.conftest import COMMAND

pytestmark = pytest.mark.integration

PASSWORD = "p@ss w0rd/zz"  # noqa: S105 - a value to look for
LITERAL = "l1teral-in-the-profile"
OPTION = "json-0ption-77"
TOKEN = "v@r-of-the-gr0up"  # noqa: S105 - a value to look for
VALUES = (PASSWORD, LITERAL, OPTION, TOKEN)
FORMS = [
    form
    for value in VALUES
    for form in (value, quote(value, safe=""), quote(value), base64.b64encode(value.encode()).decode().rstrip("="))
]

FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": f"""shop:
  target: dev
  outputs:
    dev: {{type: duckdb, path: shop.duckdb, filesystems: [{{fs: memory, token: {LITERAL}}}]}}
""",
    "groups.yaml": f"""groups:
  - {{name: well, select: "good", docs: true, vars: {{api_token: "{TOKEN}"}}}}
  - {{name: failing, select: "good+", retries: 0}}
""".replace('select: "good+"', 'select: "bad tested"'),
    "models/good.sql": "select '{{ env_var('SHOP_PASSWORD') }}' as a, '{{ var('api_token', 'none') }}' as b, "
    f"'{LITERAL}' as c, '{OPTION}' as d "
    "{{ log('logged ' ~ env_var('SHOP_PASSWORD') ~ ' and ' ~ (env_var('SHOP_PASSWORD') | urlencode), info=true) }}"
    "{{ print('printed ' ~ env_var('SHOP_PASSWORD')) }}",
    "models/bad.sql": f"select '{{{{ env_var('SHOP_PASSWORD') }}}} {LITERAL} {OPTION}'::int as a",
    "models/tested.sql": "select 1 as a",
    "tests/compares.sql": f"select * from {{{{ ref('tested') }}}} where '{OPTION} {LITERAL}'::int = a",  # noqa: S608 - a test
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    for name, content in FILES.items():
        (folder / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "shop" / name).write_text(content)
    return folder


@pytest.fixture(scope="module", params=["warm", "plain"])
def outputs(shop: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the output of a successful and of a failed build, by group."""
    environment = {
        **os.environ,
        "ANALYTICS_DBT_PROJECT_DIR": str(shop / "shop"),
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(shop / "shop" / "groups.yaml"),
        "ANALYTICS_DATA_DIR": str(shop / "data"),
        "ANALYTICS_LANDING_STORAGE_OPTIONS": json.dumps(
            {"client_kwargs": json.dumps({"aws_secret_access_key": OPTION})}
        ),
        "ANALYTICS_DBT_RUNNER": request.param,
        "DAGSTER_HOME": str(shop / "home"),
        "SHOP_PASSWORD": PASSWORD,
        "COLUMNS": "400",
    }
    found = {}
    for group in ("well", "failing"):
        command = [str(COMMAND), "build", "--group", group]
        done = subprocess.run(command, env=environment, cwd=shop, capture_output=True, text=True, check=False)
        found[group] = done.stdout + done.stderr
        assert done.returncode == (group == "failing"), found[group]
    return found


def test_the_terminal_shows_no_secret(outputs: dict[str, str]) -> None:
    assert "Could not convert string" in outputs["failing"]
    for output in outputs.values():
        assert [form for form in FORMS if form in output] == []


def test_nothing_in_dagsters_home_has_a_secret(shop: Path, outputs: dict[str, str]) -> None:
    assert outputs
    found = {
        (path.relative_to(shop), form)
        for path in (shop / "home").rglob("*")
        if path.is_file()
        for form in FORMS
        if form.encode() in path.read_bytes()
    }
    assert found == set()


def test_the_logs_and_events_say_what_happened(shop: Path, outputs: dict[str, str]) -> None:
    assert outputs
    logged = b"".join(path.read_bytes() for path in (shop / "home" / "storage").rglob("*.out"))
    assert b"logged *** and ***" in logged
    assert b"printed ***" in logged
    with dg.DagsterInstance.from_config(str(shop / "home")) as instance:
        texts = list(_texts(instance))
    assert any("compiled_sql" in text and "select '***' as a, '***' as b" in text for text in texts)
    assert any("STEP_FAILURE" in text and "***" in text for text in texts)
    assert any("PIPELINE_FAILURE" in text for text in texts)


def test_the_documentation_page_has_no_secret(shop: Path, outputs: dict[str, str]) -> None:
    assert outputs
    [page] = (shop / "data" / "reports").rglob("index.html")
    assert [value for value in VALUES if value in page.read_text()] == []


def _texts(instance: dg.DagsterInstance) -> Iterator[str]:
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id):
            if entry.dagster_event is not None:
                event = entry.dagster_event
                yield f"{event.event_type_value} {event.message} {event.event_specific_data}"
