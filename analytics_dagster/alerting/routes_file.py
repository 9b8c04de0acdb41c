"""Reads the routes file, and checks that the settings have what its channels need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics_dagster.alerting.routes import ChannelConfig, Routes
from analytics_dagster.errors import AlertError
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.yaml_file import YamlFile

BUNDLED = Path(__file__).with_name("routes.yaml")

SCHEMA = Path(__file__).with_name("routes.schema.json")
"""The JSON schema of the file, for editors; a test compares it with the models."""

_FILE = YamlFile(
    model=Routes,
    title="The routes of alerts",
    error=AlertError,
    setting="alerts_file",
    schema=SCHEMA,
    command="analytics-dagster alerts schema",
)


def load_routes(settings: Settings) -> Routes:
    """Return the routes with the time zone of the settings, without optional channels whose variables are not set.

    Raises `AlertError` that names the file, the line and the key that are wrong, or the variable that is not set.
    """
    path = (settings.alerts_file or BUNDLED).expanduser().resolve()
    routes = _FILE.read(path)
    missing = missing_variables(routes, settings)
    required = [name for name in missing if not routes.channels[name].optional]
    if required:
        channels = "; ".join(f"{name} ({', '.join(missing[name])})" for name in required)
        raise AlertError(
            f"Channels in {path} need variables that are not set: {channels}.",
            remedy="Set them, or add `optional: true` to the channel.",
        )
    incomplete = [name for name, variables in missing.items() if len(variables) < len(routes.channels[name].needs)]
    if incomplete and settings.alerts_file is None:
        variables = ", ".join(sorted({variable for name in incomplete for variable in missing[name]}))
        raise AlertError(
            f"A channel is incomplete: {variables} is not set.", remedy="Set it, or unset the channel's other variable."
        )
    channels_in_use = {name: channel for name, channel in routes.channels.items() if name not in missing}
    return routes.model_copy(update={"time_zone": routes.time_zone or settings.time_zone, "channels": channels_in_use})


def missing_variables(routes: Routes, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the variables that channels need and that are not set, by channel."""
    found = {name: _missing(channel, settings) for name, channel in routes.channels.items()}
    return {name: variables for name, variables in found.items() if variables}


def _missing(channel: ChannelConfig, settings: Settings) -> list[str]:
    names = {"slack_webhooks": channel.slack_webhook, "pagerduty_keys": channel.pagerduty}
    wanted = {setting: names.get(setting) for setting in channel.needs}
    return [
        f"{variable_name(setting)}__{name.upper()}" if name else variable_name(setting)
        for setting, name in wanted.items()
        if (find_by_name(getattr(settings, setting), name) if name else getattr(settings, setting)) is None
    ]


def find_by_name(values: Mapping[str, Any], name: str) -> Any:
    """Return a value by its name in any case, or None: names of environment variables have no case."""
    return {known.lower(): value for known, value in values.items()}.get(name.lower())


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return _FILE.json_schema()
