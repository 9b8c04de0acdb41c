"""Writes what the Helm chart has of its typed values: `values.yaml`, `values.schema.json`, the README's table.

`python -m scripts.chart_files` writes them; a test holds them against the models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.chart_model import DEFINED_BY, DEFINITIONS, Deployment, Values

CHART = Path(__file__).resolve().parent.parent / "helm" / "analytics-dagster"

GROUPS = CHART.parent.parent / "analytics_dagster" / "planning" / "groups.schema.json"
"""The schema of the schedule groups' file."""

ROUTES = CHART.parent.parent / "analytics_dagster" / "alerting" / "routes.schema.json"
"""The schema of the alerts' routes."""

KUBERNETES = "1.37.0"
"""The version whose definitions the schema holds."""

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""What every Helm 3 and 4 understands."""

_QUANTITY = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$"},
    ]
}
_WIDTH = 116
_HEAD = "# Made by `make chart` from scripts/chart_model.py: change the values there.\n"


def main() -> None:
    """Write every file that is made from the models."""
    for path, content in chart_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def chart_files() -> dict[Path, str]:
    """Return what each of the files is to hold."""
    readme = CHART / "README.md"
    defaults = Deployment(name="default").model_dump(by_alias=True, exclude={"name"})
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": json.dumps(schema(), indent=1) + "\n",
        # Helm merges no defaults into the items of a list.
        CHART / "files" / "deployment-defaults.yaml": _HEAD + yaml.safe_dump(defaults, sort_keys=False),
        readme: with_table(readme.read_text(encoding="utf-8") if readme.exists() else "", "\n".join(table())),
    }


def values_yaml() -> str:
    """Return `values.yaml`: each value with its default, and a comment above it."""
    return _HEAD + "\n".join(_yaml_lines(Values, _defaults(), 0)) + "\n"


def _defaults() -> dict[str, Any]:
    values = Values()
    defaults = values.model_dump(by_alias=True)
    # An item of a list holds what differs from an item's own defaults, which the templates know.
    deployments = [one.model_dump(by_alias=True, exclude_unset=True) for one in values.user_deployments.deployments]
    defaults["dagster-user-deployments"]["deployments"] = deployments
    return defaults


def _yaml_lines(model: type[BaseModel], values: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in model.model_fields.items():
        key = field.alias or name
        part = _part(field)
        if depth == 0:
            yield ""
        for line in _comment(field, part):
            yield f"{indent}# {line}"
        if part is not None:
            yield f"{indent}{key}:"
            yield from _yaml_lines(part, values[key], depth + 1)
        else:
            dumped = yaml.safe_dump({key: values[key]}, sort_keys=False, width=_WIDTH).splitlines()
            yield from (f"{indent}{line}" for line in dumped)


def _part(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _comment(field: FieldInfo, part: type[BaseModel] | None) -> Iterable[str]:
    text = field.description or (part.__doc__ if part else None)
    return [line.strip() for line in text.strip().splitlines()] if text else []


def schema() -> dict[str, Any]:
    """Return the JSON schema of the values, complete in itself."""
    text = json.dumps(Values.model_json_schema(ref_template=DEFINITIONS + "{model}"))
    made = json.loads(text.replace(f'"{DEFINED_BY}"', '"$ref"'))
    definitions: dict[str, Any] = made.pop("$defs")
    for name, path in (("ScheduleGroupsFile", GROUPS), ("AlertRoutesFile", ROUTES)):
        file = json.loads(path.read_text(encoding="utf-8").replace("#/$defs/", DEFINITIONS))
        del file["$schema"]
        definitions |= file.pop("$defs")
        # An empty one stands for that in the image.
        definitions[name] = {"anyOf": [{"type": "object", "maxProperties": 0}, file]}
    definitions |= _kubernetes_definitions(json.dumps([made, definitions]))
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = _QUANTITY
    return {"$schema": _DRAFT, **made, "definitions": definitions}


def _kubernetes_definitions(text: str) -> dict[str, Any]:
    """Return those of Kubernetes' definitions that a schema names, and those that they name."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
    known = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    found: dict[str, Any] = {}
    wanted = _names(text)
    while wanted:
        name = wanted.pop()
        found[name] = _without_prose(known[name])
        wanted |= _names(json.dumps(found[name])) - found.keys()
    return dict(sorted(found.items()))


def _names(text: str) -> set[str]:
    return set(re.findall(r'"\$ref": "#/[^"]*/(io\.k8s\.[^"]+)"', text))


def _without_prose(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", DEFINITIONS) if key == "$ref" else _without_prose(value)
            for key, value in part.items()
            if not (key == "description" and isinstance(value, str)) and not key.startswith("x-kubernetes-")
        }
    return [_without_prose(one) for one in part] if isinstance(part, list) else part


def table() -> Iterator[str]:
    """Yield the lines of the table of all values."""
    yield "| value | default | what it sets |"
    yield "| --- | --- | --- |"
    yield from _rows(Values, _defaults(), "")
    yield from _rows(
        Deployment, Deployment(name="default").model_dump(by_alias=True), "dagster-user-deployments.deployments[]."
    )


def _rows(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        part = _part(field)
        if part is not None:
            yield from _rows(part, values[key], f"{prefix}{key}.")
        else:
            default = json.dumps(values[key], ensure_ascii=False) if values[key] not in ("", None) else ""
            shown = f"`{default}`" if default else ""
            yield f"| `{prefix}{key}` | {shown} | {field.description or ''} |".replace("  |", " |")


def with_table(readme: str, rows: str) -> str:
    """Return the README with its table of values replaced."""
    block = f"<!-- values -->\n{rows}\n<!-- /values -->"
    pattern = re.compile(r"<!-- values -->.*<!-- /values -->", re.DOTALL)
    return pattern.sub(lambda _: block, readme) if pattern.search(readme) else f"{readme}\n{block}\n"


if __name__ == "__main__":
    main()
