#!/bin/sh
# What every container of the image starts by. dbt writes beside its manifest, and the image can't be written: the baked
# manifest is copied to where dbt may write, and made anew where the target's database or schema, or a variable that the
# project reads, is another than it was baked with. Only what loads the code needs one.
set -eu
baked=${ANALYTICS_BAKED_TARGET:-/opt/analytics/target}
case "${1:-} ${2:-}" in
"dagster api" | "analytics-dagster "*)
    if [ -n "${ANALYTICS_DBT_TARGET_PATH:-}" ] && [ ! -e "$ANALYTICS_DBT_TARGET_PATH" ] && [ -d "$baked" ]; then
        cp -R "$baked" "$ANALYTICS_DBT_TARGET_PATH"
    fi
    ;;
esac
case "${1:-} ${2:-} ${3:-}" in
"dagster api grpc" | "dagster api execute_run" | "dagster api resume_run")
    analytics-dagster prepare
    ;;
esac
exec "$@"
