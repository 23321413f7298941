"""A shell that would lead a demo to other systems, or break it."""

from __future__ import annotations

NOWHERE = "http://127.0.0.1:9"
"""A URL at which nothing listens."""

HOSTILE = {
    "http_proxy": NOWHERE,
    "https_proxy": NOWHERE,
    "HTTP_PROXY": NOWHERE,
    "ALL_PROXY": NOWHERE,
    "no_proxy": "example.com",
    "PGSSLMODE": "verify-full",
    "PGPORT": "9",
    "PGHOST": "127.0.0.1",
    "PGOPTIONS": "-c no_such_parameter=1",
    "PGSERVICE": "elsewhere",
    "LC_ALL": "xx_YY.UTF-8",
    "LANG": "xx_YY.UTF-8",
    "AWS_PROFILE": "production",
    "AWS_CONFIG_FILE": "/no/such/file",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_ENDPOINT_URL_ECS": NOWHERE,
    "AWS_SESSION_TOKEN": "expired",
    "MLFLOW_REGISTRY_URI": NOWHERE,
    "MLFLOW_TRACKING_URI": NOWHERE,
    "MLFLOW_RUN_ID": "0" * 32,
    "RATCHET_LEDGER": "postgresql+psycopg://nobody@127.0.0.1:9/ledger",
    "RATCHET_SERVING_LOG": "postgresql+psycopg://nobody@127.0.0.1:9/log",
    "RATCHET_REGISTERED_MODEL": "somebody-elses",
    "AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/such/airflow.db",
}
"""Variables that people have set for other work, each with a value that would make a demo fail."""
