"""Reads a YAML file that people write into a model; errors name the file, the line and the key."""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from analytics_dagster.errors import AnalyticsError
from analytics_dagster.redaction import redact
from analytics_dagster.settings import variable_name

Content = TypeVar("Content", bound=BaseModel)

YamlPath = tuple[int | str, ...]
"""The position of a value in a file: keys and indexes."""

ONE_OR_MANY: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
"""The JSON schema of a text or a list of texts."""


def as_tuple(value: Any) -> Any:
    """Return a single text as a list of it; anything else unchanged."""
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_tuple), WithJsonSchema(ONE_OR_MANY)
]
"""One name or a list of names."""


_SECONDS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds_of(duration: str) -> float:
    """Return the seconds of a `Duration`; raises `ValueError` if it is none."""
    match = re.fullmatch(r"(\d+)\s*([mhd])", duration)
    if not match:
        raise ValueError(f"{duration!r} is not a duration (such as 30m, 4h or 2d)")
    return int(match[1]) * _SECONDS[match[2]]


def _valid_duration(text: str) -> str:
    seconds_of(text)
    return text


Duration = Annotated[str, AfterValidator(_valid_duration)]
"""A duration such as `30m`, `4h` or `2d`."""


def _as_clock(value: Any) -> Any:
    # YAML 1.1 reads 22:00 without quotes as the number 22 * 60.
    return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else value


def _valid_clock(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time of day (such as 22:00)") from None
    return text


Clock = Annotated[
    str,
    BeforeValidator(_as_clock),
    AfterValidator(_valid_clock),
    WithJsonSchema({"type": "string", "examples": ["22:00"]}),
]
"""A time of day such as `22:00`."""


class YamlModel(BaseModel):
    """A mapping of a file. Unknown keys are errors; the docstrings of fields are their descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Return the JSON schema with the fields' descriptions."""
        schema: dict[str, Any] = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, description in field_descriptions(cls).items():
            properties[cls.model_fields[name].alias or name]["description"] = description
        return schema


def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields.

    Pydantic's `use_attribute_docstrings` does the same at import: it adds 4 % to the CPU time of loading the location.
    """
    [definition] = ast.parse(inspect.getsource(model)).body
    pairs = itertools.pairwise(definition.body) if isinstance(definition, ast.ClassDef) else ()
    return {
        field.target.id: str(text.value.value)
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


@dataclass(frozen=True)
class YamlFile(Generic[Content]):
    """A kind of file: its model, and the words of its errors.

    ``title`` begins a sentence (`The schedule groups`), ``error`` is the class to raise, ``setting`` is the setting of
    the file's path, ``schema`` is the file of the JSON schema, and ``command`` prints that schema. ``describe`` returns
    the words for the position of a value, from the file's content and the position.
    """

    model: type[Content]
    title: str
    error: type[AnalyticsError]
    setting: str
    schema: Path
    command: str
    describe: Callable[[Any, YamlPath], Iterable[str]] = field(default=lambda _, path: (str(part) for part in path))

    def read(self, path: Path) -> Content:
        """Return the content of a file; raises ``error`` that names the file, the lines and the keys."""
        try:
            content = LocatedYaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YamlError) as error:
            raise self.error(
                f"{self.title} {path} can't be read: {redact(str(error))}",
                remedy=f"Correct the file, or set {variable_name(self.setting)} to another file.",
            ) from error
        try:
            return self.model.model_validate(content.value)
        except ValidationError as error:
            problems = [problem for item in error.errors() for problem in _problems(self.model, item)]
            problems.sort(key=lambda problem: content.line(problem[0]))
            lines = [self._line(path, content, position, message) for position, message in problems]
            raise self.error(
                f"{self.title} {path} can't be used:\n  " + "\n  ".join(lines),
                remedy=f"Correct these lines; the JSON schema in {self.schema.name} (printed by `{self.command}`) lets "
                "an editor complete and check them.",
            ) from None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the file."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.model.model_json_schema()}

    def _line(self, path: Path, content: LocatedYaml, position: YamlPath, message: str) -> str:
        where = ", ".join(self.describe(content.value, position))
        return f"{path.name}:{content.line(position)}: {f'{where}: ' if where else ''}{redact(message)}"


_CONFLICTS = "conflicts"


def require_no_conflicts(conflicts: Iterable[tuple[YamlPath, str]]) -> None:
    """Raise pydantic's error, from a validator of a model, if parts that are valid alone contradict each other."""
    found = list(conflicts)
    if found:
        messages = "; ".join(message for _, message in found)
        raise PydanticCustomError(_CONFLICTS, "{messages}", {"messages": messages, "conflicts": found})


def did_you_mean(name: str, known: Sequence[str], *, otherwise: str = "") -> str:
    """Return a question that suggests the known name that is closest to an unknown one; ``otherwise`` without any."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else otherwise


def _problems(model: type[BaseModel], item: Mapping[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    """Yield the position and the message of one of pydantic's errors, in the terms of YAML."""
    position: YamlPath = item["loc"]
    kind: str = item["type"]
    if kind == _CONFLICTS:
        yield from item["ctx"]["conflicts"]
    elif kind == "extra_forbidden":
        known = sorted(field.alias or name for name, field in model_at(model, position).model_fields.items())
        question = did_you_mean(str(position[-1]), known)
        yield position, f"there is no such key{question} (the keys are {', '.join(known)})"
    elif kind == "value_error":
        yield position, str(item["ctx"]["error"])
    else:
        value = item["input"]
        actual = f", not {value!r}" if isinstance(value, _SCALARS) else ""
        expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0])
        yield position, (f"{expected} is expected" if expected else str(item["msg"])) + actual


_SCALARS = (str, int, float, date)

_EXPECTED = {
    "string_type": "a text (in quotes if YAML reads it as something else)",
    "string_pattern_mismatch": "a name of letters, digits and underscores that does not begin with a digit",
    "string_too_short": "a text that is not empty",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "bool": "`true` or `false`",
    "int": "a whole number",
    "missing": "this key",
}
"""The expected value by the type of pydantic's error, or its first word; pydantic's messages use Python's terms."""


def model_at(model: type[BaseModel], position: YamlPath) -> type[BaseModel]:
    """Return the model of the mapping in which the last part of a position is a key."""
    parts = iter(position[:-1])
    for part in parts:
        field = next((one for name, one in model.model_fields.items() if part == (one.alias or name)), None)
        inner = _inner(field.annotation) if field else None
        if field is None or inner is None:
            return model
        model = inner
        if get_origin(field.annotation) in {dict, tuple}:
            # Skip the index in the list, or the key in the mapping.
            next(parts, None)
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field: its own, or that of the values of its list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_inner, get_args(annotation)) if found), None)


class YamlError(Exception):
    """The text is not valid YAML, or a mapping has a key twice."""


class LocatedYaml:
    """The value of one YAML document, and the line of each of its parts.

    Raises `YamlError` for invalid YAML, and for a key that a mapping has twice: PyYAML silently takes the last one.
    """

    def __init__(self, text: str) -> None:
        try:
            loader = _Loader(text)
            self._root = loader.get_single_node()
            self.value: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.YAMLError as error:
            raise YamlError(str(error).replace(' in "<unicode string>",', "")) from error
        except RecursionError as error:
            raise YamlError("its values are nested too deeply") from error

    def line(self, position: YamlPath) -> int:
        """Return the line, from 1, of the part at a position, or of its closest ancestor that exists."""
        node, line = self._root, 1 if self._root is None else self._root.start_mark.line + 1
        for part in position:
            node, found = _child(node, part)
            if node is None:
                break
            line = found
        return line


class _Loader(yaml.SafeLoader):
    """Rejects a key that a mapping has twice, and names the line of a value that is not valid (`2024-13-45`)."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key in (key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise YamlError(
                    f"the key {key.value!r} appears twice in one mapping (lines {lines[key.value]} and {line})"
                )
            lines[key.value] = line
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            # PyYAML's constructors let these through for values that they can't convert.
            raise YamlError(
                f"line {node.start_mark.line + 1}: {node.value!r} is not a valid {node.tag.rpartition(':')[2]}, as "
                "which YAML reads it; put it in quotes to make it a text"
            ) from error


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None, 0
