"""Schedule groups as data: which nodes of the dbt project run together, when and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any

import dagster as dg
import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from analytics_dagster.planning.pods import NodeSelector, ObjectName, Resources, Toleration
from analytics_dagster.project.parse import Selection
from analytics_dagster.settings import TimeZone
from analytics_dagster.yaml_file import ONE_OR_MANY, Location, meant, require_fit

RESERVED = frozenset({"consumers", "exposures", "ingestion", "sources"})
"""Names of the location's other jobs and asset groups, which no schedule group may have."""


class OnOverlap(str, Enum):
    """What it means that several groups select the same node."""

    ERROR = "error"
    """A mistake: one message lists all such nodes."""
    FIRST = "first"
    """It is the first group's, in the order of the file, alone."""
    ALL = "all"
    """It is the first group's, and every other group that selects it refreshes it in its own runs too."""


class FullRefresh(str, Enum):
    """Whether incremental models and seeds are rebuilt from scratch."""

    ON_REQUEST = "on_request"
    """When the launchpad or `--full-refresh` asks for it."""
    NEVER = "never"
    """A request is refused before anything runs."""
    ALWAYS = "always"
    """In every run."""


class Backoff(str, Enum):
    """How the time between a failure and its retry grows with the retries."""

    CONSTANT = "constant"
    """It does not."""
    LINEAR = "linear"
    """By the same each time."""
    EXPONENTIAL = "exponential"
    """It doubles."""


class OnUpstreamFailure(str, Enum):
    """What a run does that waits for an upstream group whose run of the same tick fails."""

    RUN = "run"
    """It starts all the same, and reads what the upstream group built before."""
    SKIP = "skip"
    """It is left out as soon as the upstream run has failed."""
    WAIT = "wait"
    """It waits for the upstream run's retries, starts if one of them succeeds, and is left out otherwise."""


def _valid_name(name: str) -> str:
    if name.lower() in RESERVED:
        raise ValueError(f"{name!r} is the name of another job or asset group of this location")
    try:
        # Dagster itself says which names it has for itself.
        dg.GraphDefinition(name=name)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(f"{name!r} can't be the name of a job: Dagster or Python reserves it") from None
    return name


def _as_one_text(select: Any) -> Any:
    if isinstance(select, list):
        raise ValueError(  # noqa: TRY004 - pydantic wants this type
            "one text is wanted, in which several selections (either is meant) have spaces between them"
        )
    return select


def _valid_selection(select: str) -> str:
    words = select.split()
    if not words:
        raise ValueError("an empty selection names nothing; all nodes are `*`")
    for word in words:
        # dbt would take each of these for the name of a node that there is not, and say nothing.
        if word.startswith("-"):
            raise ValueError(
                f"{word!r} is no selection but an option; select positively, or name one of the project's YAML "
                "selectors by `selector`, which can exclude"
            )
        if not all(word.split(",")):
            raise ValueError(f"{word!r}: a comma (both are meant) stands between two selections, without spaces")
    return select


def valid_cron(cron: str) -> str:
    """Return a cron schedule; raises `ValueError` for what is none."""
    try:
        # Dagster itself says which crons it can run.
        dg.ScheduleDefinition(job_name="any", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(
            f"{cron!r} is no cron schedule; write one such as '0 6 * * *' (minute, hour, day, month, weekday)"
        ) from None
    return cron


def _as_list(value: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise ValueError("a cron schedule or a list of them is wanted")  # noqa: TRY004 - pydantic wants this type
    return [value] if isinstance(value, str) else value


def _valid_variables(variables: dict[str, Any]) -> dict[str, Any]:
    try:
        _as_json(variables)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"dbt is given its vars as JSON, and these can't be written as such: {error}") from None
    return variables


Crons = Annotated[
    tuple[Annotated[str, AfterValidator(valid_cron)], ...],
    BeforeValidator(_as_list),
    WithJsonSchema(ONE_OR_MANY),
]


Retries = Annotated[int, Field(ge=0, le=10)]
RetryDelay = Annotated[int, Field(ge=0)]

_TEXT = {"type": "string"}
_ONE_SELECTION: dict[str, Any] = {
    "oneOf": [
        {"required": ["select"], "properties": {"select": _TEXT}},
        {"required": ["selector"], "properties": {"selector": _TEXT}},
    ]
}


class ScheduleGroup(BaseModel):
    """Nodes of the dbt project that run together, when and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_ONE_SELECTION)

    name: Annotated[str, AfterValidator(_valid_name)] = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Also the name of the group's job and of its asset group."
    )
    select: Annotated[str, BeforeValidator(_as_one_text), AfterValidator(_valid_selection)] | None = Field(
        default=None,
        description="The nodes, in dbt's selection syntax: `tag:hourly`, `+orders,config.materialized:table`.",
    )
    selector: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The nodes, by the name of one of the dbt project's YAML selectors."
    )
    cron: Crons = Field(
        default=(), description="When it runs: one cron schedule or several; none means only by hand or by sensor."
    )
    time_zone: TimeZone | None = Field(
        default=None, description="The IANA time zone of the cron; that of the settings otherwise."
    )
    default: bool = Field(default=False, description="Whether it takes every node that no group selects.")
    after_ingestion: bool = Field(default=False, description="Whether newly ingested files start it too.")
    docs: bool = Field(default=False, description="Whether its runs end with dbt's own documentation of the project.")
    variables: Annotated[dict[str, Any], AfterValidator(_valid_variables)] = Field(
        default_factory=dict, alias="vars", description="dbt vars of its runs, beside the location's."
    )
    full_refresh: FullRefresh = Field(
        default=FullRefresh.ON_REQUEST,
        description="Whether incremental models and seeds are rebuilt from scratch: on request, never, or always.",
    )
    retries: Retries = Field(
        default=0,
        description="How often what failed of a run is run again, and only that, where it may pass by itself.",
    )
    retry_delay: RetryDelay = Field(default=60, description="How many seconds after a failure its first retry starts.")
    retry_backoff: Backoff = Field(
        default=Backoff.EXPONENTIAL,
        description="How that time grows: `constant`, `linear`, or `exponential` (it doubles).",
    )
    on_upstream_failure: OnUpstreamFailure = Field(
        default=OnUpstreamFailure.WAIT,
        description="What happens to its run when an upstream group's run of the same tick fails: it runs all the "
        "same, is skipped, or waits for the retries and is skipped if they fail too.",
    )
    reads_previous: tuple[str, ...] = Field(
        default=(),
        description="Groups whose tables it reads as their last run left them, on purpose: it does not wait for these, "
        "and a cycle through them is allowed.",
    )
    resources: Resources | None = Field(default=None, description="What the pod of its runs asks for in Kubernetes.")
    node_selector: NodeSelector | None = Field(
        default=None, description="The labels that the node must have on which that pod runs."
    )
    tolerations: tuple[Toleration, ...] | None = Field(
        default=None, description="The taints that this node may have, as Kubernetes writes them."
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="The priority class of that pod, which the cluster has."
    )

    @model_validator(mode="after")
    def _selects_in_one_way(self) -> ScheduleGroup:
        if (self.select is None) == (self.selector is None):
            raise ValueError("give either `select` or `selector`")
        return self

    @property
    def selection(self) -> Selection:
        """What dbt is asked for to find the group's nodes."""
        return Selection(select=self.select, selector=self.selector, variables=_as_json(self.variables))

    @property
    def changes(self) -> Selection | None:
        """What dbt is asked for to find the nodes that the group's vars change; None where it has none."""
        return Selection(variables=_as_json(self.variables), changed=True) if self.variables else None


class IngestionRuns(BaseModel):
    """How often the runs of ingestion are run again: the same keys as of a schedule group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retries: Retries = Field(
        default=0,
        description="How often what failed of a run of ingestion is run again, and only that, where it may pass by "
        "itself.",
    )
    retry_delay: RetryDelay = Field(default=60, description="How many seconds after a failure its first retry starts.")
    retry_backoff: Backoff = Field(
        default=Backoff.EXPONENTIAL,
        description="How that time grows: `constant`, `linear`, or `exponential` (it doubles).",
    )


class ScheduleGroups(BaseModel):
    """The whole file; the order of the groups counts where several select the same node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_overlap: OnOverlap = Field(
        default=OnOverlap.ERROR,
        description="What it means that several groups select a node: an error, the first group's, or all refresh it.",
    )
    ingestion: IngestionRuns = Field(
        default=IngestionRuns(), description="How often the runs of ingestion are run again."
    )
    # Pydantic's own `min_length` counts the groups that are right alone, so that one mistake would be told as two.
    groups: tuple[ScheduleGroup, ...] = Field(description="The schedule groups.", json_schema_extra={"minItems": 1})

    @model_validator(mode="after")
    def _fit_together(self) -> ScheduleGroups:
        require_fit(_misfits(self.groups))
        return self

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All that dbt is asked for, once each."""
        asked = [one for group in self.groups for one in (group.selection, group.changes) if one is not None]
        return tuple(dict.fromkeys(asked))


def _misfits(groups: Sequence[ScheduleGroup]) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong between groups that are right each, and where."""
    if not groups:
        yield ("groups",), "at least one group is wanted"
    names: dict[str, str] = {}
    defaults: list[str] = []
    for place, group in enumerate(groups):
        # Settings name groups by environment variables, which have no case.
        twin = names.get(group.name.lower())
        if twin is not None:
            told = "" if twin == group.name else f" (capitals do not tell it from {group.name})"
            yield ("groups", place, "name"), f"more than one group is named {twin}{told}"
        names[group.name.lower()] = group.name
        defaults += [group.name] if group.default else []
        if group.default and len(defaults) > 1:
            yield ("groups", place, "default"), f"more than one group is the default: {', '.join(defaults)}"
        others = [other.name for other in groups if other is not group]
        for index, name in enumerate(group.reads_previous):
            if name not in others:
                yield (
                    ("groups", place, "reads_previous", index),
                    f"{name!r} is no other group of this file{meant(name, others)}",
                )


def _as_json(variables: Mapping[str, Any]) -> str:
    return orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode() if variables else ""
