"""A YAML file that people write, read into a model: what is wrong with it is told with its line, in their words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from analytics_dagster.errors import AnalyticsError
from analytics_dagster.settings import variable_name
from analytics_dagster.yaml_positions import LocatedYaml, YamlProblem

Content = TypeVar("Content", bound=BaseModel)

Location = tuple[int | str, ...]
"""Where something stands in a file: keys and indexes."""

ONE_OR_MANY: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
"""The JSON schema of a text, or a list of them."""


def as_tuple(value: Any) -> Any:
    """Return a list of a text that stands for itself; anything else as it is."""
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_tuple), WithJsonSchema(ONE_OR_MANY)
]
"""One name, or a list of them."""


@dataclass(frozen=True)
class YamlFile(Generic[Content]):
    """A kind of file: its model, and how its errors speak of it.

    ``title`` begins a sentence (`The schedule groups`), ``error`` is what is raised, ``setting`` names another file,
    ``schema`` is the JSON schema's file and ``command`` prints it. ``place`` says in words where a value stands, by the
    file's whole value and the location.
    """

    model: type[Content]
    title: str
    error: type[AnalyticsError]
    setting: str
    schema: Path
    command: str
    place: Callable[[Any, Location], Iterable[str]] = field(
        default=lambda _, location: (str(part) for part in location)
    )

    def read(self, path: Path) -> Content:
        """Return what a file holds; raises ``error`` that names the file, and the lines and keys that are wrong."""
        try:
            content = LocatedYaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YamlProblem) as error:
            raise self.error(
                f"{self.title} {path} can't be read: {error}",
                remedy=f"Correct the file, or name another by {variable_name(self.setting)}.",
            ) from error
        try:
            return self.model.model_validate(content.value)
        except ValidationError as error:
            wrong = [one for item in error.errors() for one in _wrong(self.model, item)]
            wrong.sort(key=lambda one: content.line(one[0]))
            lines = [self._line(path, content, location, message) for location, message in wrong]
            raise self.error(
                f"{self.title} {path} can't be used:\n  " + "\n  ".join(lines),
                remedy=f"Correct these lines; the JSON schema in {self.schema.name} (printed by `{self.command}`) lets "
                "an editor complete and check them.",
            ) from None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the file."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.model.model_json_schema()}

    def _line(self, path: Path, content: LocatedYaml, location: Location, message: str) -> str:
        where = ", ".join(self.place(content.value, location))
        return f"{path.name}:{content.line(location)}: {f'{where}: ' if where else ''}{message}"


_MISFITS = "misfits"


def require_fit(misfits: Iterable[tuple[Location, str]]) -> None:
    """Raise pydantic's error, from a validator of a model, where parts that are right each do not fit together."""
    found = list(misfits)
    if found:
        messages = "; ".join(message for _, message in found)
        raise PydanticCustomError(_MISFITS, "{messages}", {"messages": messages, "misfits": found})


def meant(name: str, known: Sequence[str], *, otherwise: str = "") -> str:
    """Return the question whether a name near to an unknown one is meant; what is said ``otherwise`` without any."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else otherwise


def _wrong(model: type[BaseModel], item: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield what one of pydantic's errors says, in the words of who writes YAML, and where."""
    location: Location = item["loc"]
    kind: str = item["type"]
    if kind == _MISFITS:
        yield from item["ctx"]["misfits"]
    elif kind == "extra_forbidden":
        known = sorted(field.alias or name for name, field in model_at(model, location).model_fields.items())
        yield location, f"there is no such key{meant(str(location[-1]), known)} (the keys are {', '.join(known)})"
    elif kind == "value_error":
        yield location, str(item["ctx"]["error"])
    else:
        given = item["input"]
        told = f", not {given!r}" if isinstance(given, _SCALARS) else ""
        yield location, (f"{_WANTED[kind]} is wanted" if kind in _WANTED else str(item["msg"])) + told


_SCALARS = (str, int, float, date)

_WANTED = {
    "string_type": "a text (in quotes where YAML sees something else in it)",
    "string_pattern_mismatch": "a name of letters, digits and underscores that begins with no digit",
    "string_too_short": "a text that is not empty",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "missing": "this key",
}
"""What a value is to be, by pydantic's type of the error, which speaks of Python's tuples and dictionaries."""


def model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the model that describes the mapping in which the last part of a location is a key."""
    parts = iter(location[:-1])
    for part in parts:
        field = next((one for name, one in model.model_fields.items() if part == (one.alias or name)), None)
        inner = _inner(field.annotation) if field else None
        if field is None or inner is None:
            return model
        model = inner
        if get_origin(field.annotation) in {dict, tuple}:
            # The place in the list, or the name in the mapping.
            next(parts, None)
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field: its own, or that of its list's or mapping's values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_inner, get_args(annotation)) if found), None)
