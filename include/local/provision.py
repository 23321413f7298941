"""What Terraform makes on AWS, on the local stand-in: bucket, cluster, logs, secret, topic, task definition.

`python -m local.provision` does it from the environment of a container of the compose stack. Again is harmless.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

import boto3

IMAGE = "ratchet-training:local"
BUCKET = "ratchet"
SECRET = "ratchet/ledger"
CLUSTER = "ratchet"
FAMILY = "ratchet-training"
CONTAINER = "training"
LOG_GROUP = "/ratchet/jobs"
LOG_PREFIX = "ecs"
TOPIC = "ratchet-alerts"
MLFLOW_CLIENT = {
    # The server of 3.17 offers presigned URLs by itself; with the stand-in for S3 those end in minutes of retries.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # fail within a minute and with a reason, not after ten
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class Facts:
    """What a job must know of the place it runs in; the ledger's URL travels as a secret, not among these."""

    ledger: str
    environment: dict[str, str]

    @classmethod
    def of(cls, environment: dict[str, str]) -> Facts:
        """The facts in an environment: all of AWS and Ratchet but the ledger, and how clients talk to MLflow."""
        told = {name: text for name, text in environment.items() if name.startswith(("AWS_", "RATCHET_"))}
        return cls(told.pop("RATCHET_LEDGER"), told | MLFLOW_CLIENT)


def provision(endpoint: str, region: str, facts: Facts, image: str = IMAGE) -> None:
    """Make what is missing on the emulator at `endpoint`, and bring secret and task definition up to date."""

    def client(service: str):
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id="local",  # keys that open nothing
            aws_secret_access_key="local",
        )

    client("s3").create_bucket(Bucket=BUCKET)
    client("sns").create_topic(Name=TOPIC)
    logs = client("logs")
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=LOG_GROUP)
    ecs = client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family=FAMILY,
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="8192",
        containerDefinitions=[
            {
                "name": CONTAINER,
                "image": image,
                "essential": True,
                "environment": [{"name": name, "value": value} for name, value in facts.environment.items()],
                "secrets": [{"name": "RATCHET_LEDGER", "valueFrom": _secret(client("secretsmanager"), facts.ledger)}],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": LOG_GROUP,
                        "awslogs-region": region,
                        "awslogs-stream-prefix": LOG_PREFIX,
                    },
                },
            }
        ],
    )


def _secret(manager, text: str) -> str:
    """Keep the ledger's URL as a secret; returns its ARN."""
    try:
        return manager.create_secret(Name=SECRET, SecretString=text)["ARN"]
    except manager.exceptions.ResourceExistsException:
        return manager.put_secret_value(SecretId=SECRET, SecretString=text)["ARN"]


if __name__ == "__main__":
    given = dict(os.environ)
    provision(given["AWS_ENDPOINT_URL"], given["AWS_DEFAULT_REGION"], Facts.of(given), given["IMAGE"])
