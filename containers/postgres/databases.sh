#!/bin/sh
# First start: a database and a role of its own for each of Airflow, MLflow and the ledger; no role sees another's.
set -eu
export PGUSER="$POSTGRES_USER" PGDATABASE="${POSTGRES_DB:-$POSTGRES_USER}"
make_database() {
  PASSWORD="$2" psql --quiet --set ON_ERROR_STOP=1 --set name="$1" <<'SQL'
\getenv password PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}
make_database airflow "$AIRFLOW_DB_PASSWORD"
make_database mlflow "$MLFLOW_DB_PASSWORD"
make_database ratchet "$RATCHET_DB_PASSWORD"
