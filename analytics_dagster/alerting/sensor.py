"""The sensor that looks, and tells: twice a minute, and never more than once of the same."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from analytics_dagster.alerting.lookout import Lookout

SENSOR = "alerts_sensor"


def build_alerts_sensor(
    make_lookout: Callable[[dg.DagsterInstance, dg.RepositoryDefinition | None, str | None], Lookout],
    default_status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """Return the sensor; ``make_lookout`` gives what looks at an instance, for a location and its name."""

    @dg.sensor(
        name=SENSOR,
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Tells people of what failed, once, until it is over: runs, checks, sensors and schedules.",
    )
    def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        lookout = make_lookout(context.instance, context.repository_def, origin.location_name if origin else None)
        lines = lookout.look()
        for line in lookout.delivery.failed:
            context.log.warning(line)
        return dg.SkipReason("; ".join(lines)[:2_000] or "There is no news.")

    return alerts_sensor
