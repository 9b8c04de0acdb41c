"""Whether every variable that looks like a setting is one: a name that is mistyped sets nothing, and says nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from analytics_dagster.cli.doctor.finding import Finding, doubt, well
from analytics_dagster.settings import PREFIX, Environment, Settings, variable_name

CHECK = "settings"


def check_settings(settings: Settings, names: Iterable[str]) -> Iterator[Finding]:
    """Yield what the settings come to, and the variables that are none but are named almost as one. Pure.

    Others may be those of the dbt profile or of the project.
    """
    known = [variable_name(field) for field in Settings.model_fields]
    ours = sorted(name for name in names if name.upper().startswith(PREFIX))
    for name in ours:
        stem = name.upper().partition("__")[0]
        meant = difflib.get_close_matches(stem, known, n=1, cutoff=0.85)
        if meant and stem not in known:
            yield doubt(
                CHECK, f"{name} is no setting, and has no effect by itself; is {meant[0]} meant?", "Rename or unset it."
            )
    automation = "start turned on" if settings.automation_is_on else "start turned off"
    default = (
        "" if settings.environment is not Environment.DEV else " (the default)" * (f"{PREFIX}ENVIRONMENT" not in ours)
    )
    yield well(CHECK, f"environment {settings.environment.value}{default}; schedules and sensors {automation}.")
