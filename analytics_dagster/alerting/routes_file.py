"""The routes' file, held against the variables that its channels need."""

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
"""The JSON schema of the file, for editors; a test holds it against the classes."""

_FILE = YamlFile(
    model=Routes,
    title="The routes of alerts",
    error=AlertError,
    setting="alerts_file",
    schema=SCHEMA,
    command="analytics-dagster alerts schema",
)


def load_routes(settings: Settings) -> Routes:
    """Read the routes, without the optional channels whose variables are absent, and with the settings' time zone.

    Raises `AlertError` that names the file, the line and the key that are wrong, or the variable that is absent.
    """
    path = (settings.alerts_file or BUNDLED).expanduser().resolve()
    routes = _FILE.read(path)
    absent = absent_variables(routes, settings)
    needed = [name for name in absent if not routes.channels[name].optional]
    if needed:
        listed = "; ".join(f"{name} ({', '.join(absent[name])})" for name in needed)
        raise AlertError(
            f"Channels of the routes {path} need variables that are absent: {listed}.",
            remedy="Set them, or give the channel `optional: true`.",
        )
    half = [name for name, names in absent.items() if len(names) < len(routes.channels[name].needs)]
    if half and settings.alerts_file is None:
        listed = ", ".join(sorted({variable for name in half for variable in absent[name]}))
        raise AlertError(f"A channel is half set up: {listed} is absent.", remedy="Set it too, or unset the other.")
    channels = {name: channel for name, channel in routes.channels.items() if name not in absent}
    return routes.model_copy(update={"time_zone": routes.time_zone or settings.time_zone, "channels": channels})


def absent_variables(routes: Routes, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the variables that channels need and that are not set, by channel."""
    found = {name: _absent(channel, settings) for name, channel in routes.channels.items()}
    return {name: names for name, names in found.items() if names}


def _absent(channel: ChannelConfig, settings: Settings) -> list[str]:
    """Return the variables that a channel needs and that are not set."""
    by_name = {"slack_webhooks": channel.slack_webhook, "pagerduty_keys": channel.pagerduty}
    absent = []
    for need in channel.needs:
        value, name = getattr(settings, need), by_name.get(need)
        if name is None and value is None:
            absent.append(variable_name(need))
        elif name is not None and named(value, name) is None:
            absent.append(f"{variable_name(need)}__{name.upper()}")
    return absent


def named(values: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its name; the names of environment variables have no case."""
    return {known.lower(): value for known, value in values.items()}.get(name.lower())


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return _FILE.json_schema()
