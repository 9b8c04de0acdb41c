"""The sensor that fails runs whose process was killed, so that they block neither their group nor the warehouse."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.execution.dead_runs import RunOwner, fail_dead_runs

SENSOR = "dead_runs_sensor"


def build_dead_runs_sensor(project: str) -> dg.SensorDefinition:
    """Return the sensor that looks for dead runs of a project and its location; it is on by default."""

    @dg.sensor(
        name=SENSOR,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Marks runs as failed whose process was killed, and frees their pool slots.",
    )
    def dead_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        dead = fail_dead_runs(context.instance, RunOwner(project, origin.location_name if origin else None))
        if not dead:
            return dg.SkipReason("No run is dead.")
        return dg.SkipReason(
            "Marked as failed: " + "; ".join(f"run {run.run_id} of {run.job} ({run.reason})" for run in dead)
        )

    return dead_runs_sensor
