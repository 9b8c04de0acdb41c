"""The model of the schedule groups' file: which nodes of the dbt project run together, when and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any

import dagster as dg
import orjson
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from analytics_dagster.planning.pods import NodeSelector, ObjectName, Resources, Toleration
from analytics_dagster.project.parse import Selection
from analytics_dagster.settings import TimeZone
from analytics_dagster.yaml_file import ONE_OR_MANY, YamlModel, YamlPath, as_tuple, did_you_mean, require_no_conflicts

GROUP_TAG = "analytics_dagster/schedule_group"
"""The run tag that holds the name of the run's schedule group."""

PROJECT_TAG = "analytics_dagster/project"
"""The run tag that holds the name of the dbt project: two locations may have groups of the same names."""

RESERVED = frozenset({"consumers", "exposures", "ingestion", "sources"})
"""Names of other jobs and asset groups of the location; a schedule group can't use them."""


class OnOverlap(str, Enum):
    """What happens if several groups select the same node."""

    ERROR = "error"
    """It is an error that lists all such nodes."""
    FIRST = "first"
    """Only the first group in the file builds it."""
    ALL = "all"
    """It belongs to the first group in the file; the others refresh it in their own runs too."""


class FullRefresh(str, Enum):
    """Whether incremental models and seeds are rebuilt from scratch."""

    ON_REQUEST = "on_request"
    """If the launchpad or `--full-refresh` requests it."""
    NEVER = "never"
    """A request is refused before anything runs."""
    ALWAYS = "always"
    """In every run."""


class Backoff(str, Enum):
    """How the delay between a failure and its retry grows with the number of retries."""

    CONSTANT = "constant"
    """The delay stays the same."""
    LINEAR = "linear"
    """The delay grows by the same amount each time."""
    EXPONENTIAL = "exponential"
    """The delay doubles each time."""


class OnUpstreamFailure(str, Enum):
    """What a waiting run does if the upstream group's run of the same tick fails."""

    RUN = "run"
    """It starts, and reads what the upstream group built before."""
    SKIP = "skip"
    """It is skipped as soon as the upstream run has failed."""
    WAIT = "wait"
    """It waits for the upstream run's retries, starts if one of them succeeds, and is skipped otherwise."""


def _valid_name(name: str) -> str:
    if name.lower() in RESERVED:
        raise ValueError(f"{name!r} is the name of another job or asset group of this location")
    try:
        # Dagster itself knows which names it reserves.
        dg.GraphDefinition(name=name)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(f"{name!r} can't be the name of a job: Dagster or Python reserves it") from None
    return name


def _as_one_text(select: Any) -> Any:
    if isinstance(select, list):
        raise ValueError(  # noqa: TRY004 - pydantic needs this type
            "one text is expected; separate several selections with spaces to select their union"
        )
    return select


def _valid_selection(select: str) -> str:
    words = select.split()
    if not words:
        raise ValueError("an empty selection selects nothing; use `*` for all nodes")
    for word in words:
        # dbt would silently take each of these as the name of a node that does not exist.
        if word.startswith("-"):
            raise ValueError(
                f"{word!r} is an option, not a selection; to exclude nodes, set `selector` to one of the project's "
                "YAML selectors"
            )
        if not all(word.split(",")):
            raise ValueError(f"{word!r}: a comma (intersection) needs a selection on both sides, without spaces")
    return select


def valid_cron(cron: str) -> str:
    """Return a cron schedule; raises `ValueError` if it is not valid."""
    try:
        # Dagster itself knows which crons it can run.
        dg.ScheduleDefinition(job_name="any", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(
            f"{cron!r} is not a cron schedule; write one such as '0 6 * * *' (minute, hour, day, month, weekday)"
        ) from None
    return cron


def _as_crons(value: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise ValueError("a cron schedule or a list of them is expected")  # noqa: TRY004 - pydantic needs this type
    return as_tuple(value)


def _valid_variables(variables: dict[str, Any]) -> dict[str, Any]:
    try:
        _as_json(variables)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"dbt receives its vars as JSON, but these can't be written as JSON: {error}") from None
    return variables


Crons = Annotated[
    tuple[Annotated[str, AfterValidator(valid_cron)], ...],
    BeforeValidator(_as_crons),
    WithJsonSchema(ONE_OR_MANY),
]

Retries = Annotated[int, Field(ge=0, le=10)]
RetryDelay = Annotated[int, Field(ge=0)]

_TEXT = {"type": "string"}
_SELECTIONS: list[dict[str, Any]] = [{"required": [key], "properties": {key: _TEXT}} for key in ("select", "selector")]
_DEFAULT = {"required": ["default"], "properties": {"default": {"const": True}}, "not": {"anyOf": _SELECTIONS}}
_ONE_SELECTION: dict[str, Any] = {"oneOf": [*_SELECTIONS, _DEFAULT]}


class ScheduleGroup(YamlModel):
    """Nodes of the dbt project that run together, when and how."""

    model_config = ConfigDict(json_schema_extra=_ONE_SELECTION)

    name: Annotated[str, AfterValidator(_valid_name)] = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Also the name of the group's job and asset group."""
    select: Annotated[str, BeforeValidator(_as_one_text), AfterValidator(_valid_selection)] | None = None
    """The nodes, in dbt's selection syntax: `tag:hourly`, `+orders,config.materialized:table`."""
    selector: Annotated[str, Field(min_length=1)] | None = None
    """The nodes, by the name of a YAML selector of the dbt project."""
    cron: Crons = ()
    """When it runs: one or more cron schedules; without any, only by hand or by a sensor."""
    time_zone: TimeZone | None = None
    """The IANA time zone of the cron; default: the setting's."""
    default: bool = False
    """Whether it gets every node that no other group selects; then it needs no selection of its own."""
    after_ingestion: bool = False
    """Whether newly ingested files start it too."""
    docs: bool = False
    """Whether its runs generate dbt's documentation at the end."""
    variables: Annotated[dict[str, Any], AfterValidator(_valid_variables)] = Field(default_factory=dict, alias="vars")
    """dbt vars of its runs, in addition to the location's."""
    full_refresh: FullRefresh = FullRefresh.ON_REQUEST
    """Whether incremental models and seeds are rebuilt from scratch: on request, never, or always."""
    retries: Retries = 0
    """How often the failed part of a run is retried if the failure may be transient."""
    retry_delay: RetryDelay = 60
    """The seconds between a failure and its first retry."""
    retry_backoff: Backoff = Backoff.EXPONENTIAL
    """How that delay grows: `constant`, `linear`, or `exponential` (it doubles)."""
    on_upstream_failure: OnUpstreamFailure = OnUpstreamFailure.WAIT
    """What its run does if an upstream run of the same tick fails: run anyway, skip, or wait for its retries."""
    depends_on_past: bool = False
    """Whether its next run starts only after its last one, or a retry of that, has succeeded."""
    reads_previous: tuple[str, ...] = ()
    """Groups whose previous tables it reads: it does not wait for them, and a cycle through them is allowed."""
    resources: Resources | None = None
    """The resources of its runs' pods in Kubernetes."""
    node_selector: NodeSelector | None = None
    """The labels of the nodes on which these pods may run."""
    tolerations: tuple[Toleration, ...] | None = None
    """The taints of nodes that these pods tolerate."""
    priority_class_name: ObjectName | None = None
    """The priority class of these pods; it must exist in the cluster."""

    @model_validator(mode="after")
    def _has_one_selection(self) -> ScheduleGroup:
        if self.select is not None and self.selector is not None:
            raise ValueError("give either `select` or `selector`")
        if self.select is None and self.selector is None and not self.default:
            raise ValueError("give either `select` or `selector`; only the default group needs none")
        return self

    @property
    def selection(self) -> Selection | None:
        """The selection of the group's nodes; None for a default group that only gets what is left."""
        if self.select is None and self.selector is None:
            return None
        return Selection(select=self.select, selector=self.selector, variables=_as_json(self.variables))

    def named(self, selected: Mapping[Selection, frozenset[str]]) -> frozenset[str]:
        """Return the unique ids that dbt resolved for its selection, out of those of all selections."""
        return selected[self.selection] if self.selection else frozenset()

    @property
    def changes(self) -> Selection | None:
        """The selection of the nodes that the group's vars change; None for a group without vars."""
        return Selection(variables=_as_json(self.variables), changed=True) if self.variables else None


class IngestionRuns(YamlModel):
    """How ingestion runs are retried, with the same keys as a schedule group."""

    retries: Retries = 0
    """How often the failed part of a run is retried if the failure may be transient."""
    retry_delay: RetryDelay = 60
    """The seconds between a failure and its first retry."""
    retry_backoff: Backoff = Backoff.EXPONENTIAL
    """How that delay grows: `constant`, `linear`, or `exponential` (it doubles)."""


class ScheduleGroups(YamlModel):
    """The whole file; the order of the groups matters if several select the same node."""

    on_overlap: OnOverlap = OnOverlap.ERROR
    """What happens if several groups select a node: an error, only the first one builds it, or all do."""
    ingestion: IngestionRuns = IngestionRuns()
    """How ingestion runs are retried."""
    # Not pydantic's `min_length`: it counts valid groups only, and would report one mistake twice.
    groups: tuple[ScheduleGroup, ...] = Field(json_schema_extra={"minItems": 1})
    """The schedule groups."""

    @model_validator(mode="after")
    def _do_not_conflict(self) -> ScheduleGroups:
        require_no_conflicts(_conflicts(self.groups))
        return self

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All selections that dbt has to resolve, once each."""
        selections = [one for group in self.groups for one in (group.selection, group.changes) if one is not None]
        return tuple(dict.fromkeys(selections))


def _conflicts(groups: Sequence[ScheduleGroup]) -> Iterator[tuple[YamlPath, str]]:
    """Yield the position and the message of each conflict between groups that are valid alone."""
    if not groups:
        yield ("groups",), "at least one group is expected"
    names: dict[str, str] = {}
    defaults: list[str] = []
    for index, group in enumerate(groups):
        # Environment variables name groups in the settings, without case.
        twin = names.get(group.name.lower())
        if twin is not None:
            hint = "" if twin == group.name else f" ({group.name} differs only in case)"
            yield ("groups", index, "name"), f"more than one group is named {twin}{hint}"
        names[group.name.lower()] = group.name
        defaults += [group.name] if group.default else []
        if group.default and len(defaults) > 1:
            yield ("groups", index, "default"), f"more than one group is the default: {', '.join(defaults)}"
        others = [other.name for other in groups if other is not group]
        for position, name in enumerate(group.reads_previous):
            if name not in others:
                yield (
                    ("groups", index, "reads_previous", position),
                    f"{name!r} is not another group of this file{did_you_mean(name, others)}",
                )


def _as_json(variables: Mapping[str, Any]) -> str:
    return orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode() if variables else ""
