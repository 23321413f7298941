"""What Terraform makes on AWS, on the local stand-in: bucket, cluster, logs, the ledger's secret, task definition."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Facts:
    """What a job must know of the place it runs in; the ledger's URL travels as a secret, not among these."""

    ledger: str
    environment: dict[str, str]


def provision(endpoint: str, region: str, facts: Facts) -> None:
    """Make all of it on a fresh emulator at `endpoint`."""

    def client(service: str):
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id="local",  # keys that open nothing
            aws_secret_access_key="local",
        )

    client("s3").create_bucket(Bucket=BUCKET)
    client("logs").create_log_group(logGroupName=LOG_GROUP)
    secret = client("secretsmanager").create_secret(Name=SECRET, SecretString=facts.ledger)
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
                "image": IMAGE,
                "essential": True,
                "environment": [{"name": name, "value": value} for name, value in facts.environment.items()],
                "secrets": [{"name": "RATCHET_LEDGER", "valueFrom": secret["ARN"]}],
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
