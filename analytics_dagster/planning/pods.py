"""The resources and the placement of the pods of a schedule group's runs, in Kubernetes' own terms."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from analytics_dagster.yaml_file import YamlModel

# Kubernetes' rules for names and labels: the API server rejects the Job of a run that breaks them, at launch.
# Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_DOMAIN = 253


def _valid_quantity(quantity: str) -> str:
    if not re.fullmatch(r"[0-9.]+([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?", quantity):
        raise ValueError(f"{quantity!r} is not a Kubernetes quantity (such as 500m, 2, 1Gi)")
    return quantity


def _valid_key(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if not _LABEL.fullmatch(name) or (slash and not _is_domain(prefix)):
        raise ValueError(f"{key!r} can't be the key of a label or a taint (such as pool, example.com/pool)")
    return key


def _valid_value(value: str) -> str:
    if value and not _LABEL.fullmatch(value):
        raise ValueError(f"{value!r} can't be the value of a label or a taint: 63 letters, digits, '-', '_' and '.'")
    return value


def _valid_object_name(name: str) -> str:
    if not _is_domain(name):
        raise ValueError(f"{name!r} can't be the name of a Kubernetes object: lower case letters, digits, '-', '.'")
    return name


def _is_domain(text: str) -> bool:
    return len(text) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


Quantity = Annotated[
    str,
    Field(coerce_numbers_to_str=True),
    AfterValidator(_valid_quantity),
    WithJsonSchema({"type": ["string", "number"]}),
]

Key = Annotated[str, AfterValidator(_valid_key)]
Value = Annotated[str, AfterValidator(_valid_value)]

NodeSelector = dict[Key, Value]
"""The labels that a node must have."""

ObjectName = Annotated[str, AfterValidator(_valid_object_name)]


class Resources(YamlModel):
    """The resources of a run's pod, in Kubernetes' units (`cpu: 500m`, `memory: 1Gi`)."""

    requests: dict[str, Quantity] = Field(default_factory=dict)
    """The guaranteed amounts."""
    limits: dict[str, Quantity] = Field(default_factory=dict)
    """The maximum amounts."""


class Toleration(YamlModel):
    """A taint of nodes that a run's pod tolerates.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """

    key: Key | None = None
    """The taint's key; default: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Whether the taint has this value, or any value (`Exists`)."""
    value: Value | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; default: every effect."""
    toleration_seconds: int | None = Field(default=None, alias="tolerationSeconds", ge=0)
    """How many seconds the pod stays on a node that gets such a taint (`NoExecute`); default: forever."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Toleration:
        if self.key is None and self.operator != "Exists":
            raise ValueError("give the taint's `key`, or `operator: Exists` for every taint")
        if self.value and self.operator == "Exists":
            raise ValueError("`operator: Exists` matches any value: remove `value`")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("`tolerationSeconds` needs `effect: NoExecute`")
        return self
