"""Environment variables -> one frozen, typed `Settings`; no other module reads the environment."""

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
"""What the name of every variable of the package begins with."""

CHECKOUT = Path(__file__).resolve().parent.parent


class Environment(str, Enum):
    """Where this location runs. Nothing but a laptop is meant by default."""

    DEV = "dev"
    """A laptop: the profile's own default target, schedules and sensors off until they are turned on."""
    STAGING = "staging"
    """A rehearsal: the target `staging` unless another is named, schedules and sensors off."""
    PROD = "prod"
    """The real thing: the target `prod` unless another is named, schedules and sensors on."""


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone (such as Europe/Berlin or UTC)") from error
    return name


class DbtRunner(str, Enum):
    """How a run calls dbt."""

    WARM = "warm"
    """In a process that imports dbt and reads the project while Dagster still makes ready."""
    PLAIN = "plain"
    """By the `dbt` command, with nothing made ready: the long way, for comparison and in case of need."""


class DbtArtifacts(str, Enum):
    """Of which builds dbt's artifacts are kept."""

    FAILED = "failed"
    """Of those that failed or were cut off; of others only what dbt can compare a later build with."""
    ALL = "all"
    """Of all of them."""


TimeZone = Annotated[str, AfterValidator(_known_time_zone)]
"""The name of an IANA time zone that this machine knows."""


def _default_project_dir() -> Path:
    """Return the dbt project nearest to where the command was typed, else the bundled one of the checkout."""
    here = Path.cwd()
    for candidate in (here / "dbt_project", here):
        if (candidate / "dbt_project.yml").is_file():
            return candidate
    return CHECKOUT / "dbt_project"


class Settings(BaseSettings):
    """All that can be set from outside, one environment variable a field: `ANALYTICS_` + the field's name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    environment: Environment = Field(
        default=Environment.DEV, description="`dev`, `staging` or `prod`; the last two must be asked for by name."
    )
    dbt_project_dir: Path = Field(
        default_factory=_default_project_dir,
        description="The folder that holds `dbt_project.yml`.",
    )
    dbt_profiles_dir: Path | None = Field(
        default=None,
        description="The folder that holds `profiles.yml`; dbt's own search order otherwise.",
    )
    dbt_profile: str | None = Field(
        default=None, description="The profile to use; the one that `dbt_project.yml` names otherwise."
    )
    dbt_target: str | None = Field(
        default=None, description="The profile's target; its own default in `dev`, the environment's name elsewhere."
    )
    dbt_target_path: Path | None = Field(
        default=None,
        description="Where dbt writes the manifest and each run's artifacts, relative to the dbt project; "
        "where dbt itself would (`DBT_TARGET_PATH`, the project's `target-path`, or `target`) otherwise.",
    )
    dbt_vars: dict[str, Any] = Field(
        default_factory=dict, description="JSON object of dbt vars for every parse and build of the project."
    )
    dbt_runner: DbtRunner = Field(
        default=DbtRunner.WARM,
        description="`warm`: runs call dbt in a process that is made ready early; `plain`: by the `dbt` command.",
    )
    dbt_artifacts: DbtArtifacts = Field(
        default=DbtArtifacts.FAILED, description="Of which builds dbt's artifacts are kept: `failed` ones, or `all`."
    )
    dbt_artifacts_days: float = Field(
        default=7.0, ge=1, description="How many days they are kept; those of other builds go when it has ended."
    )
    dagster_shortcuts: bool = Field(
        default=True,
        description="Whether three slow functions of Dagster are replaced when the location is loaded, where its "
        "version is known ([why](docs/upstream.md)).",
    )
    schedule_groups_file: Path | None = Field(
        default=None, description="The YAML file of the schedule groups; the bundled `hourly` and `nightly` otherwise."
    )
    cron: dict[str, str] = Field(
        default_factory=dict,
        description='Cron by schedule group: `ANALYTICS_CRON__HOURLY="15 * * * *"`, or one JSON object.',
    )
    time_zone: TimeZone = Field(
        default="UTC", description="The IANA time zone of all schedules that name none of their own."
    )
    schedules_running: bool | None = Field(
        default=None, description="Whether schedules and sensors start turned on; only in `prod` otherwise."
    )
    unit_tests: bool = Field(
        default=False,
        description="Whether scheduled runs execute dbt unit tests too (they test code, not data).",
    )
    data_dir: Path | None = Field(
        default=None, description="The folder for what is written locally; `data` beside the dbt project otherwise."
    )
    landing_url: str | None = Field(
        default=None,
        description="Where raw files arrive: a folder or any fsspec URL (`s3://…`); `landing` in the data folder.",
    )
    landing_settle_seconds: float = Field(
        default=0.0,
        ge=0,
        description="How old a file must be, in seconds, to be taken: for writers that do not write atomically.",
    )
    landing_storage_options: dict[str, str] = Field(
        default_factory=dict,
        description="JSON object of fsspec options for the three locations (endpoint, credentials from files).",
        repr=False,
    )
    outbound_url: str | None = Field(
        default=None, description="Where exports go: a folder or any fsspec URL; `outbound` in the data folder."
    )
    reports_url: str | None = Field(
        default=None, description="Where reports go: a folder or any fsspec URL; `reports` in the data folder."
    )
    reports_web_url: str | None = Field(
        default=None,
        description="The address at which a browser finds what lies there, for links in the UI: "
        "`https://reports.example.com`.",
    )
    warehouse_lock_timeout: PositiveFloat = Field(
        default=300.0,
        description="How many seconds to wait for a warehouse file that another process holds.",
    )
    warehouse_writers: int | None = Field(
        default=None,
        ge=1,
        description="How many runs may write the warehouse at once; 1 for a DuckDB file (always), 4 otherwise.",
    )
    alerts_file: Path | None = Field(
        default=None, description="The YAML file that says who hears of what; the bundled routes otherwise."
    )
    slack_token: SecretStr | None = Field(default=None, description="The bot token that posts to Slack.")
    slack_channel: str | None = Field(
        default=None, description="The Slack channel that the bundled routes tell of failures."
    )
    slack_webhooks: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Slack's incoming webhooks by the names that routes use: `ANALYTICS_SLACK_WEBHOOKS__FINANCE=https://…`",
    )
    slack_api_url: str = Field(default="https://slack.com/api/", description="The address of Slack's API.")
    pagerduty_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="PagerDuty's integration keys by the names that routes use: `ANALYTICS_PAGERDUTY_KEYS__ON_CALL=…`",
    )
    pagerduty_url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue", description="The address of PagerDuty's events API."
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="The mail server: `smtp://user:password@host:587` (STARTTLS if offered), or `smtps://…` (TLS).",
    )
    mail_from: str | None = Field(default=None, description="The address that mails come from.")
    alert_timeout: PositiveFloat = Field(
        default=10.0, description="How many seconds a channel may take to answer before it counts as down."
    )
    commit: str | None = Field(
        default=None, description="The commit that is deployed, as alerts tell it; that of the checkout otherwise."
    )
    webserver_url: str | None = Field(
        default=None, description="The address of the Dagster UI, for links in messages: `https://dagster.example.com`."
    )
    is_dev_cli: bool = Field(
        default=False,
        validation_alias=AliasChoices("DAGSTER_IS_DEV_CLI", "is_dev_cli"),
        description="Set by `dagster dev` and `dg` themselves: a missing or stale manifest is made at load.",
    )
    dagster_home: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("DAGSTER_HOME", "dagster_home"),
        description="Dagster's own home; `.dagster_home` beside the dbt project for our command line otherwise.",
    )

    @property
    def project_dir(self) -> Path:
        """The absolute folder of the dbt project."""
        return self.dbt_project_dir.expanduser().resolve()

    @property
    def local_data_dir(self) -> Path:
        """The absolute folder for what is written locally."""
        return (self.data_dir or self.project_dir.parent / "data").expanduser().resolve()

    @property
    def home(self) -> Path:
        """The absolute folder of Dagster's home, for commands that are to make one."""
        return (self.dagster_home or self.project_dir.parent / ".dagster_home").expanduser().resolve()

    @property
    def landing(self) -> str:
        """The landing zone: an fsspec URL or an absolute folder."""
        return self.landing_url or str(self.local_data_dir / "landing")

    @property
    def outbound(self) -> str:
        """Where exports go: an fsspec URL or an absolute folder."""
        return self.outbound_url or str(self.local_data_dir / "outbound")

    @property
    def reports(self) -> str:
        """Where reports go: an fsspec URL or an absolute folder."""
        return self.reports_url or str(self.local_data_dir / "reports")

    @property
    def automation_is_on(self) -> bool:
        """Whether schedules and sensors start turned on."""
        if self.schedules_running is None:
            return self.environment is Environment.PROD
        return self.schedules_running

    @property
    def target_name(self) -> str | None:
        """The dbt target to ask for; None means the profile's own default, which only `dev` may use."""
        if self.dbt_target or self.environment is Environment.DEV:
            return self.dbt_target
        return str(self.environment.value)


def load_settings() -> Settings:
    """Read the environment once.

    Returns the settings; raises `SettingsError` that names every variable that is wrong, and never a value.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False)]
        raise SettingsError(
            "The settings, read from the environment, can't be used:\n  " + "\n  ".join(lines),
            remedy="Correct or unset these variables; docs/settings.md lists them all.",
        ) from None
    except SourceError as error:
        # A value that is to be JSON and is none; the message names the field, its cause may hold the value.
        fields = [variable_name(name) for name in Settings.model_fields if f'"{name}"' in str(error)]
        raise SettingsError(
            f"The settings, read from the environment, can't be used:\n  {', '.join(fields)}: no valid JSON object",
            remedy="Write it as one JSON object, or unset it; docs/settings.md lists all variables.",
        ) from None


def variable_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return PREFIX + field.upper()


def environment_variables() -> Mapping[str, str]:
    """Return the environment as it is, for rendering dbt profiles; values may be secret."""
    return os.environ


def is_dbt_made_ready() -> bool:
    """Return whether runs have dbt made ready, as far as can be said before the settings are loaded and checked."""
    return os.environ.get(variable_name("dbt_runner"), "").lower() != DbtRunner.PLAIN.value


def absent_variables(names: Iterable[str]) -> list[str]:
    """Return those of the named environment variables that are not set, in order and once each."""
    return [name for name in dict.fromkeys(names) if name not in os.environ]


def set_default_variable(name: str, value: str) -> None:
    """Set an environment variable that a library reads, unless the user has set it."""
    os.environ.setdefault(name, value)


def set_dagster_home(home: Path) -> None:
    """Name Dagster's home to Dagster itself, which reads it from the environment alone."""
    os.environ["DAGSTER_HOME"] = str(home)


def _variable(location: tuple[int | str, ...]) -> str:
    field, *rest = [str(part) for part in location]
    name = variable_name(field) if field in Settings.model_fields else field
    return "__".join([name, *(part.upper() for part in rest)])
