"""Reads environment variables into a frozen, typed `Settings`; no other module reads the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AliasChoices, Field, PositiveFloat, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from analytics_dagster.errors import SettingsError

PREFIX = "ANALYTICS_"
"""The prefix of the package's environment variables."""

CHECKOUT = Path(__file__).resolve().parent.parent


class Environment(str, Enum):
    """Where this location runs; a laptop by default."""

    DEV = "dev"
    """A laptop: the profile's default target; schedules and sensors are off."""
    STAGING = "staging"
    """A copy of production: the target `staging` unless another is set; schedules and sensors are off."""
    PROD = "prod"
    """Production: the target `prod` unless another is set; schedules and sensors are on."""


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone (such as Europe/Berlin or UTC)") from error
    return name


class DbtRunner(str, Enum):
    """How a run calls dbt."""

    WARM = "warm"
    """In a process that imports dbt and reads the project while Dagster is still starting."""
    PLAIN = "plain"
    """With the `dbt` command, which is slower: for comparison and as a fallback."""


class DbtArtifacts(str, Enum):
    """The builds of which dbt's artifacts are kept."""

    FAILED = "failed"
    """Failed and interrupted builds; of others only the artifacts that dbt can compare a later build with."""
    ALL = "all"
    """All builds."""


TimeZone = Annotated[str, AfterValidator(_known_time_zone)]
"""The name of an IANA time zone."""


def _default_project_dir() -> Path:
    """Return the dbt project in or below the working directory, else the bundled one of the checkout."""
    here = Path.cwd()
    for candidate in (here / "dbt_project", here):
        if (candidate / "dbt_project.yml").is_file():
            return candidate
    return CHECKOUT / "dbt_project"


class Settings(BaseSettings):
    """All settings, each an environment variable: `ANALYTICS_` and the field's name. Docstrings become docs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    environment: Environment = Environment.DEV
    """`dev`, `staging` or `prod`."""
    dbt_project_dir: Path = Field(default_factory=_default_project_dir)
    """The folder of `dbt_project.yml`."""
    dbt_profiles_dir: Path | None = None
    """The folder of `profiles.yml`; default: dbt's own search order."""
    dbt_profile: str | None = None
    """The dbt profile; default: the one that `dbt_project.yml` names."""
    dbt_target: str | None = None
    """The profile's target; default: the profile's own default in `dev`, else the environment's name."""
    dbt_target_path: Path | None = None
    """The folder for the manifest and artifacts, relative to the dbt project; default: dbt's own `target-path`."""
    dbt_vars: dict[str, Any] = Field(default_factory=dict)
    """JSON object of dbt vars for every parse and build."""
    dbt_runner: DbtRunner = DbtRunner.WARM
    """How runs call dbt. `warm`: in a process that starts early; `plain`: with the `dbt` command."""
    dbt_artifacts: DbtArtifacts = DbtArtifacts.FAILED
    """The builds of which dbt's artifacts are kept: `failed` or `all`."""
    dbt_artifacts_days: float = Field(default=7.0, ge=1)
    """How many days these are kept; other builds' artifacts are deleted when the build ends."""
    dagster_shortcuts: bool = True
    """Whether slow functions of Dagster are replaced at load, in tested versions ([why](docs/upstream.md))."""
    schedule_groups_file: Path | None = None
    """The YAML file of the schedule groups; default: the bundled `hourly` and `nightly`."""
    cron: dict[str, str] = Field(default_factory=dict)
    """The cron of each schedule group: `ANALYTICS_CRON__HOURLY="15 * * * *"`, or one JSON object."""
    time_zone: TimeZone = "UTC"
    """The IANA time zone of schedules that have none of their own."""
    schedules_running: bool | None = None
    """Whether schedules and sensors start turned on; default: only in `prod`."""
    unit_tests: bool = False
    """Whether scheduled runs execute dbt unit tests too (they test code, not data)."""
    data_dir: Path | None = None
    """The folder for local data; default: `data` next to the dbt project."""
    landing_url: str | None = None
    """Where raw files arrive: a folder or an fsspec URL (`s3://…`); default: `landing` in the data folder."""
    landing_settle_seconds: float = Field(default=0.0, ge=0)
    """How many seconds old a file must be to be ingested: for writers that do not write atomically."""
    landing_storage_options: dict[str, str] = Field(default_factory=dict, repr=False)
    """JSON object of fsspec options for the landing zone, exports and reports (endpoint, credentials)."""
    outbound_url: str | None = None
    """Where exports are written: a folder or an fsspec URL; default: `outbound` in the data folder."""
    reports_url: str | None = None
    """Where reports are written: a folder or an fsspec URL; default: `reports` in the data folder."""
    reports_web_url: str | None = None
    """The address of the reports in a browser, for links in the UI: `https://reports.example.com`."""
    warehouse_lock_timeout: PositiveFloat = 300.0
    """How many seconds to wait for a warehouse file that another process has open."""
    warehouse_writers: int | None = Field(default=None, ge=1)
    """How many runs may write the warehouse at once; always 1 for a DuckDB file, otherwise default: 4."""
    alerts_file: Path | None = None
    """The YAML file of the alert routes; default: the bundled routes."""
    slack_token: SecretStr | None = None
    """The bot token for Slack."""
    slack_channel: str | None = None
    """The Slack channel to which the bundled routes send failures."""
    slack_webhooks: dict[str, SecretStr] = Field(default_factory=dict)
    """Slack's incoming webhooks by the names that routes use: `ANALYTICS_SLACK_WEBHOOKS__FINANCE=https://…`"""
    slack_api_url: str = "https://slack.com/api/"
    """The address of Slack's API."""
    pagerduty_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """PagerDuty's integration keys by the names that routes use: `ANALYTICS_PAGERDUTY_KEYS__ON_CALL=…`"""
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    """The address of PagerDuty's events API."""
    smtp_url: SecretStr | None = None
    """The mail server: `smtp://user:password@host:587` (STARTTLS if offered) or `smtps://…` (TLS)."""
    mail_from: str | None = None
    """The sender address of mails."""
    alert_timeout: PositiveFloat = 10.0
    """How many seconds to wait for a connection to a channel; an answer may take three times as long (at most 30)."""
    """How many seconds to wait for a channel's response before it counts as unavailable."""
    waiting_alert_hours: PositiveFloat = 3.0
    """After how many hours of waiting a pending or queued run is an incident."""
    commit: str | None = None
    """The deployed commit, for alerts; default: the commit of the checkout."""
    webserver_url: str | None = None
    """The address of the Dagster UI, for links in messages: `https://dagster.example.com`."""
    is_dev_cli: bool = Field(default=False, validation_alias=AliasChoices("DAGSTER_IS_DEV_CLI", "is_dev_cli"))
    """Set by `dagster dev` and `dg` themselves: a missing or stale manifest is made at load."""
    dagster_home: Path | None = Field(default=None, validation_alias=AliasChoices("DAGSTER_HOME", "dagster_home"))
    """Dagster's home; default for `analytics-dagster`: `.dagster_home` next to the dbt project."""

    @property
    def project_dir(self) -> Path:
        """The absolute folder of the dbt project."""
        return self.dbt_project_dir.expanduser().resolve()

    @property
    def local_data_dir(self) -> Path:
        """The absolute folder for local data."""
        return (self.data_dir or self.project_dir.parent / "data").expanduser().resolve()

    @property
    def home(self) -> Path:
        """The absolute folder of Dagster's home, for commands that may have to make it."""
        return (self.dagster_home or self.project_dir.parent / ".dagster_home").expanduser().resolve()

    @property
    def landing(self) -> str:
        """The landing zone: an fsspec URL or an absolute folder."""
        return self.landing_url or str(self.local_data_dir / "landing")

    @property
    def outbound(self) -> str:
        """The place of exports: an fsspec URL or an absolute folder."""
        return self.outbound_url or str(self.local_data_dir / "outbound")

    @property
    def reports(self) -> str:
        """The place of reports: an fsspec URL or an absolute folder."""
        return self.reports_url or str(self.local_data_dir / "reports")

    @property
    def automation_is_on(self) -> bool:
        """Whether schedules and sensors start turned on."""
        if self.schedules_running is None:
            return self.environment is Environment.PROD
        return self.schedules_running

    @property
    def target_name(self) -> str | None:
        """The dbt target; None for the profile's default target, which only `dev` may use."""
        if self.dbt_target or self.environment is Environment.DEV:
            return self.dbt_target
        return str(self.environment.value)


def load_settings() -> Settings:
    """Return the settings of the environment; raises `SettingsError` that names all invalid variables."""
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_input=False)
        lines = [f"{_variable(item['loc'])}: {item['msg'].removeprefix('Value error, ')}" for item in problems]
        raise SettingsError(
            "The settings, read from the environment, can't be used:\n  " + "\n  ".join(lines),
            remedy="Correct or unset these variables; docs/settings.md lists them all.",
        ) from None
    except SourceError as error:
        # A value is not valid JSON. The message names the field; its cause may hold the value.
        fields = [variable_name(name) for name in Settings.model_fields if f'"{name}"' in str(error)]
        raise SettingsError(
            f"The settings, read from the environment, can't be used:\n  {', '.join(fields)}: not a valid JSON object",
            remedy="Write it as one JSON object, or unset it; docs/settings.md lists all variables.",
        ) from None


def variable_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return PREFIX + field.upper()


def misspelled_settings(names: Iterable[str]) -> Mapping[str, str]:
    """Return environment variables whose name is similar to a setting's but has no effect, and that setting. Pure.

    Other variables with our prefix may belong to the dbt profile or project.
    """
    # Imported here: only commands call this.
    import difflib

    known = [variable_name(field) for field in Settings.model_fields]
    stems = {name: name.upper().partition("__")[0] for name in sorted(names) if name.upper().startswith(PREFIX)}
    similar = {
        name: difflib.get_close_matches(stem, known, n=1, cutoff=0.85)
        for name, stem in stems.items()
        if stem not in known
    }
    return {name: meant[0] for name, meant in similar.items() if meant}


def environment_variables() -> Mapping[str, str]:
    """Return the environment unchanged, for rendering dbt profiles; values may be secret."""
    return os.environ


def uses_warm_dbt() -> bool:
    """Return whether runs use a warm dbt process; callable before the settings are loaded and checked."""
    return os.environ.get(variable_name("dbt_runner"), "").lower() != DbtRunner.PLAIN.value


def missing_variables(names: Iterable[str]) -> list[str]:
    """Return the environment variables that are not set, in order and once each."""
    return [name for name in dict.fromkeys(names) if name not in os.environ]


def set_default_variable(name: str, value: str) -> None:
    """Set an environment variable that a library reads, unless the user has set it."""
    os.environ.setdefault(name, value)


def set_dagster_home(home: Path) -> None:
    """Set Dagster's home for Dagster itself, which reads only the environment."""
    os.environ["DAGSTER_HOME"] = str(home)


def _variable(location: tuple[int | str, ...]) -> str:
    field, *rest = [str(part) for part in location]
    name = variable_name(field) if field in Settings.model_fields else field
    return "__".join([name, *(part.upper() for part in rest)])
