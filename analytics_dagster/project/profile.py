"""What the dbt profile says of the chosen target: read and rendered without importing dbt, which is slow."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import yaml

from analytics_dagster.errors import ProfileError
from analytics_dagster.settings import Settings, absent_variables, environment_variables, variable_name

if TYPE_CHECKING:
    import jinja2

PROFILES = "profiles.yml"
"""The name of the file of dbt's profiles."""

_ENV_VAR = re.compile(r"env_var\(\s*['\"](?P<name>[^'\"]+)['\"]\s*(?P<has_default>,)?")

_EXPRESSION = re.compile(r"^\s*\{\{(?P<inside>(?:(?!\}\}|\{\{).)*)\}\}\s*$", re.DOTALL)

SECRET_NAME = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
"""What the name of a variable or of a credential sounds like when its value is not for anybody's eyes."""

_TOLD = frozenset(
    {
        *("name", "type", "provider", "chain", "scope", "persistent", "meta_secret"),
        *("host", "port", "user", "database", "endpoint", "region", "use_ssl", "url_style"),
    }
)
"""What DuckDB's secrets hold that is none, and an error is not clear without."""


@dataclass(frozen=True)
class Target:
    """One output of a dbt profile, rendered.

    ``credentials`` are dbt's own keys (`path`, `host`, …) and may hold secrets: never print them.
    """

    profile: str
    name: str
    adapter: str
    profiles_dir: Path
    credentials: Mapping[str, Any] = field(repr=False)

    @property
    def database(self) -> str:
        """The database in the names of its relations; empty where the adapter finds it out by itself."""
        named = self._first("database", "dbname", "project", "catalog")
        if named or self.adapter != "duckdb":
            return named
        return duckdb_database(str(self.credentials.get("path") or ":memory:"))

    @property
    def schema(self) -> str:
        """The schema in the names of its relations, where a model's own configuration says nothing else."""
        return self._first("schema", "dataset") or ("main" if self.adapter == "duckdb" else "")

    def _first(self, *keys: str) -> str:
        """Return the first of the values that is there: adapters have names of their own for the same."""
        return next((str(self.credentials[key]) for key in keys if self.credentials.get(key)), "")

    def redact(self, text: str) -> str:
        """Return the text with every secret of the credentials replaced by asterisks."""
        for secret in _secrets(self.credentials):
            text = text.replace(secret, "***")
        return text


def duckdb_database(path: str) -> str:
    """Return the name of the database that DuckDB opens at a path, by dbt-duckdb's own rule."""
    if path == ":memory:":
        return "memory"
    parsed = urlparse(path)
    file = posixpath.basename(parsed.path)
    if parsed.scheme in {"md", "motherduck"}:
        return posixpath.splitext(file)[0] or "my_db"
    if parsed.scheme.lower() == "ducklake":
        return urlparse(posixpath.splitext(file)[0]).path
    return file.lstrip(".").split(".")[0]


def find_profiles_dir(settings: Settings) -> Path:
    """Return the folder of `profiles.yml`, looked for in dbt's own order.

    Source: dbt's documentation of connection profiles (`--profiles-dir` or `DBT_PROFILES_DIR`, then the
    current folder, which is the project's for us, then `~/.dbt`). Raises `ProfileError` that lists the places.
    """
    named = settings.dbt_profiles_dir or environment_variables().get("DBT_PROFILES_DIR")
    places = [Path(named)] if named else [settings.project_dir, Path.home() / ".dbt"]
    for place in places:
        if (place.expanduser() / PROFILES).is_file():
            return place.expanduser().resolve()
    raise ProfileError(
        f"No profiles.yml for the dbt project {settings.project_dir}: looked in "
        + ", ".join(str(place) for place in places)
        + ".",
        remedy=f"Write one, or name its folder by {variable_name('dbt_profiles_dir')}.",
    )


def load_target(settings: Settings, profile_name: str) -> Target:
    """Read the profile and return its chosen target, rendered.

    ``profile_name`` is what `dbt_project.yml` names; a setting overrides it. Raises `ProfileError` when the
    file, the profile, or the target is not there (with those that are), or a variable that the target needs
    is absent (all of them by name).
    """
    profiles_dir = find_profiles_dir(settings)
    path = profiles_dir / PROFILES
    profiles = read_profiles(path)
    name = settings.dbt_profile or profile_name
    profile = profiles.get(name)
    if not isinstance(profile, dict) or not isinstance(profile.get("outputs"), dict):
        raise ProfileError(
            f"{path} has no profile {name!r} with outputs; it has: {_listed(profiles)}.",
            remedy=f"Add it, or choose one by {variable_name('dbt_profile')}.",
        )
    outputs = profile["outputs"]
    target = str(settings.target_name or render(path, profile.get("target", "default")))
    if not isinstance(outputs.get(target), dict):
        raise ProfileError(
            f"The profile {name!r} in {path} has no target {target!r}; it has: {_listed(outputs)}.",
            remedy=f"Choose one by {variable_name('dbt_target')} (without it, {_target_rule(settings)}).",
        )
    return _rendered(profiles_dir, name, target, outputs[target])


def read_target(profiles_dir: Path, profile: str, name: str) -> Target:
    """Return a target that `load_target` has chosen before, rendered anew: for who keeps its name and not its secrets.

    Raises `ProfileError` where it is there no longer, or a variable that it needs is absent.
    """
    path = profiles_dir / PROFILES
    declared = read_profiles(path).get(profile)
    outputs = declared.get("outputs") if isinstance(declared, dict) else None
    output = outputs.get(name) if isinstance(outputs, dict) else None
    if not isinstance(output, dict):
        raise ProfileError(
            f"{path} has no target {name!r} in the profile {profile!r} any more.", remedy="Load the location again."
        )
    return _rendered(profiles_dir, profile, name, output)


def _rendered(profiles_dir: Path, profile: str, name: str, output: Mapping[str, Any]) -> Target:
    path = profiles_dir / PROFILES
    absent = absent_variables(_required_variables(output))
    if absent:
        raise ProfileError(
            f"The target {name!r} of the profile {profile!r} in {path} needs variables that are not set: "
            + ", ".join(absent)
            + ".",
            remedy="Set them in the environment (in production from a Secret) and start again.",
        )
    rendered = render(path, output)
    return Target(
        profile=profile,
        name=name,
        adapter=str(rendered.get("type", "")),
        profiles_dir=profiles_dir,
        credentials=rendered,
    )


def _secrets(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            sounds = key not in _TOLD and bool(SECRET_NAME.search(str(key)))
            yield from _secrets(item, secret=sounds or (secret and key not in _TOLD))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, secret=secret)
    elif secret and isinstance(value, str) and value:
        yield value


def read_profiles(path: Path) -> Mapping[str, Any]:
    """Return the profiles of a file as they stand in it; raises `ProfileError` where it can't be read."""
    try:
        profiles = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path} can't be read: {error}", remedy="Correct the file.") from error
    except yaml.YAMLError as error:
        # Its message quotes the line, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}"
        raise ProfileError(f"{path} can't be read: it is no valid YAML{where}.", remedy="Correct the file.") from None
    if not isinstance(profiles, dict):
        raise ProfileError(f"{path} holds no profiles.", remedy="Write a profile into it.")
    return profiles


def _target_rule(settings: Settings) -> str:
    if settings.target_name is None:
        return "the profile's own `target` holds"
    return f"the environment's name, {settings.environment.value!r}, is asked for"


def _required_variables(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [name for item in value.values() for name in _required_variables(item)]
    if isinstance(value, list):
        return [name for item in value for name in _required_variables(item)]
    if isinstance(value, str):
        return [match["name"] for match in _ENV_VAR.finditer(value) if not match["has_default"]]
    return []


def render(path: Path, value: Any) -> Any:
    """Return a value of a profiles' file with its expressions evaluated; raises `ProfileError` where one can't be."""
    if isinstance(value, dict):
        return {key: render(path, item) for key, item in value.items()}
    if isinstance(value, list):
        return [render(path, item) for item in value]
    return _evaluated(path, value) if isinstance(value, str) and "{" in value else value


def _evaluated(path: Path, text: str) -> Any:
    import jinja2  # many a profile has no expressions

    expression = _EXPRESSION.match(text)
    try:
        # As dbt does: one expression alone keeps its type, whatever is around it makes it text.
        if expression is None:
            return _jinja().from_string(text).render()
        value = _jinja().compile_expression(expression["inside"], undefined_to_none=False)()
        if isinstance(value, jinja2.Undefined):
            raise jinja2.UndefinedError("the expression has no value")
    except jinja2.TemplateError as error:
        raise ProfileError(f"{path} can't be rendered at {text!r}: {error}", remedy="Correct the expression.") from None
    return value


@cache
def _jinja() -> jinja2.Environment:
    import jinja2  # see `_evaluated`

    def env_var(name: str, default: str | None = None) -> str:
        value = environment_variables().get(name, default)
        if value is None:
            raise jinja2.UndefinedError(f"the variable {name} is not set")
        return value

    # Profiles are YAML, not HTML: nothing is to be escaped.
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    jinja.globals["env_var"] = env_var
    # dbt's own filters, which say as what a text is to be read.
    jinja.filters.update({**dict.fromkeys(("as_number", "as_native", "as_bool"), yaml.safe_load), "as_text": str})
    return jinja


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(str(name) for name in names if name != "config")) or "none"
