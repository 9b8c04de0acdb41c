"""What the pod of a schedule group's runs asks of Kubernetes, in its own words: what it may use, and where it runs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

# Kubernetes' rules of names and labels: the API server refuses the Job of a run that has others, when it is launched.
# Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_DOMAIN = 253


def _as_quantity(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _valid_quantity(quantity: str) -> str:
    if not re.fullmatch(r"[0-9.]+([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?", quantity):
        raise ValueError(f"{quantity!r} is no quantity of Kubernetes (such as 500m, 2, 1Gi)")
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
        raise ValueError(f"{name!r} can't be the name of an object of Kubernetes: lower case letters, digits, '-', '.'")
    return name


def _is_domain(text: str) -> bool:
    return len(text) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


Quantity = Annotated[
    str,
    BeforeValidator(_as_quantity),
    AfterValidator(_valid_quantity),
    WithJsonSchema({"type": ["string", "number"]}),
]

Key = Annotated[str, AfterValidator(_valid_key)]
Value = Annotated[str, AfterValidator(_valid_value)]

NodeSelector = dict[Key, Value]
"""The labels that a node must have, all of them."""

ObjectName = Annotated[str, AfterValidator(_valid_object_name)]


class Resources(BaseModel):
    """What a run's pod asks for and may use, in Kubernetes' own words and units (`cpu: 500m`, `memory: 1Gi`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, Quantity] = Field(default_factory=dict, description="What the pod is given at least.")
    limits: dict[str, Quantity] = Field(default_factory=dict, description="What the pod may use at most.")


class Toleration(BaseModel):
    """A taint of nodes that a run's pod does not mind, in Kubernetes' own words.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key | None = Field(default=None, description="The taint's key; every taint without one.")
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="Whether the taint has the value, or any (`Exists`)."
    )
    value: Value | None = Field(default=None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; every effect without one."
    )
    toleration_seconds: int | None = Field(
        default=None,
        alias="tolerationSeconds",
        ge=0,
        description="How long the pod stays on a node that gets such a taint (`NoExecute`); for ever without it.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Toleration:
        if self.key is None and self.operator != "Exists":
            raise ValueError("give the taint's `key`, or `operator: Exists` for every taint")
        if self.value and self.operator == "Exists":
            raise ValueError("with `operator: Exists` any value is meant: leave `value` out")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("`tolerationSeconds` goes with `effect: NoExecute`")
        return self
