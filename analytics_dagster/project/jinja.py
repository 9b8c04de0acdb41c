"""Renders the Jinja in dbt's YAML files as dbt does, without importing dbt, which is slow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from analytics_dagster.errors import ProfileError, ProjectError
from analytics_dagster.redaction import redact
from analytics_dagster.secret_values import is_secret_name
from analytics_dagster.settings import environment_variables, variable_name

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class YamlRenderer:
    """Renders the values of a file.

    ``variables`` are the location's dbt vars. ``target`` has the properties of the dbt target, which are not known
    where it is chosen. ``error`` is raised if a value can't be rendered, with ``remedy``.
    """

    path: Path
    variables: Mapping[str, Any] = field(repr=False)
    target: Mapping[str, Any] | None = field(default=None, repr=False)
    error: type[ProjectError] = ProfileError
    remedy: str = "Correct the expression."

    def render(self, value: Any, key: str = "") -> Any:
        """Return a value with its Jinja rendered; ``key`` is the key of the value in the file."""
        if isinstance(value, dict):
            return {name: self.render(item, str(name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.render(item, key) for item in value]
        return self._text(value, key) if isinstance(value, str) and "{" in value else value

    def _text(self, text: str, key: str) -> Any:
        import jinja2  # many files have no Jinja

        context = {"var": _Vars(self), **({} if self.target is None else {"target": self.target})}
        expression = _EXPRESSION.match(text)
        try:
            # Like dbt: a text that is one expression keeps the type of its value.
            if expression is None:
                return _environment().from_string(text).render(context)
            value = _environment().compile_expression(expression["inside"], undefined_to_none=False)(context)
            if isinstance(value, jinja2.Undefined):
                raise jinja2.UndefinedError("the expression has no value")
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            if key == "password":
                # Like dbt: a password may contain `{%`.
                return text
            where = f"`{key}`" if is_secret_name(key) else repr(text)
            raise self.error(
                f"{self.path} can't be rendered at {redact(where)}: {redact(str(error))}", remedy=self.remedy
            ) from None
        return value


_EXPRESSION = re.compile(r"^\s*\{\{(?P<inside>(?:(?!\}\}|\{\{).)*)\}\}\s*$", re.DOTALL)

_REQUIRED = object()


@dataclass(frozen=True)
class _Vars:
    """dbt's `var`. In these files dbt knows the vars of the command line only, not those of `dbt_project.yml`."""

    renderer: YamlRenderer

    def __call__(self, name: str, default: Any = _REQUIRED) -> Any:
        value = self.renderer.variables.get(name, default)
        if value is _REQUIRED:
            raise LookupError(f"the var {name} is not in {variable_name('dbt_vars')}")
        return self.renderer.render(value)

    def has_var(self, name: str) -> bool:
        return name in self.renderer.variables


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # see `YamlRenderer`

    # The output is YAML, not HTML: nothing has to be escaped.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    # dbt's own functions and filters, as far as a path, a name or a credential may need them.
    environment.globals.update(
        env_var=_env_var,
        dbt_version=version("dbt-core"),
        fromjson=json.loads,
        tojson=json.dumps,
        fromyaml=yaml.safe_load,
        local_md5=lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
    )
    filters = dict.fromkeys(("as_number", "as_native", "as_bool"), yaml.safe_load)
    environment.filters.update({**filters, "as_text": str})
    return environment


def _env_var(name: str, default: str | None = None) -> str:
    value = environment_variables().get(name, default)
    if value is None:
        raise LookupError(f"the variable {name} is not set")
    return value
