"""Create on the AWS emulator what Terraform creates on AWS: bucket, cluster, log group, secret, topic, task definition.

`python provision.py` does it from the environment of a container of the compose stack; running it again is harmless.
That container has no other module of this project, so this file imports only boto3 and the standard library.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import boto3

IMAGE = "ratchet-training:local"
BUCKET = "ratchet"
CLUSTER = "ratchet"
FAMILY = "ratchet-training"
CONTAINER = "training"
LOG_GROUP = "/ratchet/jobs"
LOG_PREFIX = "ecs"
TOPIC = "ratchet-alerts"
ACCESS_KEY = "local"
"""Access key and secret key of the emulator; they grant access to nothing else."""
MLFLOW_CLIENT = {
    # The server of 3.17 offers presigned URLs by default; with the emulator's S3 these end in minutes of retries.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # fail within a minute and with a reason, not after ten
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class JobEnvironment:
    """The environment of a job: `ledger` is the ledger's URL, passed as a secret; the rest is plain."""

    ledger: str
    variables: dict[str, str]

    @classmethod
    def of(cls, environment: dict[str, str]) -> JobEnvironment:
        """The variables of AWS and Ratchet in `environment`, and the settings of MLflow's client.

        Raises KeyError without RATCHET_LEDGER.
        """
        variables = {name: text for name, text in environment.items() if name.startswith(("AWS_", "RATCHET_"))}
        return cls(variables.pop("RATCHET_LEDGER"), variables | MLFLOW_CLIENT)


def provision(endpoint: str, region: str, job: JobEnvironment, image: str = IMAGE) -> None:
    """Create what is missing on the emulator at `endpoint`, and update the secret and the task definition."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
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
                "environment": [{"name": name, "value": value} for name, value in job.variables.items()],
                "secrets": [{"name": "RATCHET_LEDGER", "valueFrom": _put_secret(client("secretsmanager"), job.ledger)}],
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


def _put_secret(manager: Any, text: str) -> str:
    """Create or update the secret with the ledger's URL; returns its ARN."""
    name = "ratchet/ledger"
    try:
        created = manager.create_secret(Name=name, SecretString=text)
    except manager.exceptions.ResourceExistsException:
        created = manager.put_secret_value(SecretId=name, SecretString=text)
    return str(created["ARN"])


if __name__ == "__main__":
    variables = dict(os.environ)
    provision(
        variables["AWS_ENDPOINT_URL"],
        variables["AWS_DEFAULT_REGION"],
        JobEnvironment.of(variables),
        variables["IMAGE"],
    )
