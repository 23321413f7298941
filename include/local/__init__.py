"""The embedded default: Postgres, AWS and MLflow as local processes, so that the real DAG runs on a bare machine."""
