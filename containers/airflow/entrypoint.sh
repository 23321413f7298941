#!/bin/sh
# Start one component of Airflow. DAGs come through the bundle, wherever they are read. What the api-server (plugins) and the
# triggerer (callbacks) import besides comes from the release that is current when they start.
set -eu
case "$1" in api-server | triggerer)
  if [ -n "${RATCHET_RELEASES:-}" ]; then
    python -m dag_bundle fetch --from "$RATCHET_RELEASES" --into "$AIRFLOW_HOME/releases" --wait 300
    export PYTHONPATH="$AIRFLOW_HOME/releases/current" AIRFLOW__CORE__PLUGINS_FOLDER="$AIRFLOW_HOME/releases/current/plugins"
  fi ;;
esac
if [ "$1" = api-server ]; then # its login: one administrator, whose password `make up` has made
  export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE="$AIRFLOW_HOME/passwords.json"
  : "${AIRFLOW_ADMIN_PASSWORD:?run make up, which makes it}"
  (umask 077 && python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' \
    > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
fi
exec airflow "$@"
