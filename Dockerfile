# The image of web server, daemon, code locations and runs. All packages are pinned by hash; nothing is built or downloaded
# at start. Build it in the folder of the checkout:
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) --tag analytics-dagster:0.1.0 .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
# The tools that build our wheel stay in an environment of this stage.
COPY requirements/build.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-deps --require-hashes --requirement requirements/build.txt
# An environment without pip. It is installed before the code is copied, so that a change of the code uses the cached layer.
COPY requirements/production.txt requirements/
RUN python -m venv --without-pip /opt/venv \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --no-compile --require-hashes \
    --requirement requirements/production.txt
COPY pyproject.toml README.md LICENSE ./
COPY analytics_dagster analytics_dagster
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --no-compile --no-index /wheels/*.whl
# Compile now: the root file system is read-only at run time, so Python would compile again at each start. Errors are ignored,
# because some packages contain files for other Python versions.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true
COPY dbt_project /opt/analytics/dbt_project
COPY scripts/entrypoint.sh /opt/analytics/entrypoint
# Make the manifest for the production target, without connecting to it. A project that does not parse fails here. The manifest
# contains relation names: with another database or schema in the chart, containers make it again at start.
ARG TARGET=prod
ARG DATABASE=warehouse
ARG SCHEMA=analytics
RUN chmod 0555 /opt/analytics/entrypoint && cd /tmp \
 && env ANALYTICS_ENVIRONMENT=prod ANALYTICS_DBT_TARGET=${TARGET} ANALYTICS_DBT_PROJECT_DIR=/opt/analytics/dbt_project \
    ANALYTICS_DBT_TARGET_PATH=/opt/analytics/target DBT_LOG_PATH=/tmp DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    ANALYTICS_POSTGRES_HOST=none ANALYTICS_POSTGRES_USER=none ANALYTICS_POSTGRES_PASSWORD=none \
    ANALYTICS_POSTGRES_DBNAME=${DATABASE} ANALYTICS_POSTGRES_SCHEMA=${SCHEMA} \
    ANALYTICS_LAKE_DATA_PATH=none AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none \
    /opt/venv/bin/analytics-dagster prepare
# DuckDB's extensions for DuckLake, in the folder that runs read.
RUN /opt/venv/bin/python -m analytics_dagster.project.extensions /opt/analytics/extensions ducklake httpfs postgres_scanner

FROM ${BASE}
ARG COMMIT=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="analytics-dagster" \
      org.opencontainers.image.description="Dagster with dbt models as assets" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}"
# Some base images have no pip.
RUN if python -m pip --version >/dev/null 2>&1; then python -m pip uninstall --yes --quiet pip setuptools wheel; fi \
 && groupadd --gid 10001 dagster \
 && useradd --uid 10001 --gid dagster --no-create-home --home-dir /tmp --shell /usr/sbin/nologin dagster \
 && mkdir -p /opt/dagster/dagster_home
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/analytics /opt/analytics
# Only /tmp is writable; in the chart it is a volume.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp USER=dagster \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DAGSTER_HOME=/opt/dagster/dagster_home DAGSTER_DISABLE_TELEMETRY=1 \
    ANALYTICS_DBT_PROJECT_DIR=/opt/analytics/dbt_project ANALYTICS_DBT_TARGET_PATH=/tmp/dbt_target \
    ANALYTICS_DATA_DIR=/tmp/data ANALYTICS_DUCKDB_EXTENSIONS=/opt/analytics/extensions \
    DBT_LOG_PATH=/tmp/dbt_logs DBT_SEND_ANONYMOUS_USAGE_STATS=false DO_NOT_TRACK=1
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["/opt/analytics/entrypoint"]
CMD ["analytics-dagster", "--help"]
