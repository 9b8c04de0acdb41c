"""What can be found out without asking: the dbt profile, the time zone, and what the caller has chosen before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analytics_dagster.errors import ProfileError
from analytics_dagster.project.profile import PROFILES, read_profiles
from analytics_dagster.settings import environment_variables, variable_name

_CHOSEN = ("dbt_profile", "dbt_target", "dbt_vars")
_ZONES = "zoneinfo/"


def find_profiles(project: Path, name: str, home: Path) -> Path | None:
    """Return the folder of the `profiles.yml` that has a profile; None where dbt finds one by itself, or nobody does.

    Looked for in the folders of the project, around it, and in those beside it.
    """
    values = environment_variables()
    named = values.get(variable_name("dbt_profiles_dir")) or values.get("DBT_PROFILES_DIR")
    if named:
        return Path(named).expanduser().resolve()
    if (project / PROFILES).is_file() or _has(home / ".dbt" / PROFILES, name):
        return None
    around = project.parent
    places = [*sorted(project.glob(f"*/{PROFILES}")), around / PROFILES, *sorted(around.glob(f"*/{PROFILES}"))]
    return next((place.parent for place in places if _has(place, name)), None)


def _has(path: Path, name: str) -> bool:
    try:
        return path.is_file() and name in read_profiles(path)
    except ProfileError:
        return False


def find_time_zone(localtime: Path = Path("/etc/localtime")) -> str:
    """Return the IANA name of this machine's time zone; UTC where it has none."""
    named = environment_variables().get("TZ", "").lstrip(":") or str(localtime.resolve()).partition(_ZONES)[2]
    name = named.removeprefix("posix/").removeprefix("Etc/")
    return name if "/" in name else "UTC"


def chosen_settings(earlier: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return what the caller has said of the project by environment variables, now or when it was written down."""
    values = environment_variables()
    named = {name: values.get(name) or earlier.get(name) for name in map(variable_name, _CHOSEN)}
    return {name: value for name, value in named.items() if value}
