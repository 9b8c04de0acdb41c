#!/bin/sh
# The entry point of the image. dbt writes next to its manifest, and the image is read-only: processes that load the code
# first copy the manifest of the image to a writable folder. `prepare` makes it again if the target's database or schema, or
# a variable that the project reads, has another value than at build time.
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
