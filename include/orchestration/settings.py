"""Facts of the infrastructure, which Terraform sets through the environment. Choices per DAG run are Params instead."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class EcsSettings(BaseSettings):
    """The ECS cluster and how jobs run on it: the `RATCHET_ECS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_ECS_", frozen=True, extra="ignore", env_ignore_empty=True)

    cluster: str = "ratchet"
    task_definition: str = "ratchet-training"
    container: str = "training"
    launch_type: Literal["FARGATE", "EC2"] = "FARGATE"
    spot: bool = Field(False, description="Launch on FARGATE_SPOT; a job that was interrupted twice runs on demand.")
    subnets: list[str] = []
    security_groups: list[str] = []
    log_group: str = "/ratchet/jobs"
    log_prefix: str = "ecs"
    poll_seconds: float = Field(
        6, ge=0.1, description="Seconds between two polls of a task; small where requests are free."
    )
    patience_seconds: float = Field(
        600,  # most Fargate shortages and API outages end within minutes; Airflow's own retries follow
        ge=0,
        description="Seconds that one try waits for capacity, or while ECS does not answer.",
    )

    @model_validator(mode="after")
    def _require_fargate_for_spot(self) -> EcsSettings:
        if self.spot and self.launch_type != "FARGATE":
            raise ValueError("RATCHET_ECS_SPOT is for Fargate. On EC2, use Spot instances in the cluster instead.")
        return self

    @property
    def network(self) -> dict[str, dict[str, list[str] | str]] | None:
        """RunTask's `networkConfiguration`, which Fargate needs; None without subnets, as on the local emulator."""
        if not self.subnets:
            return None
        return {
            "awsvpcConfiguration": {
                "subnets": self.subnets,
                "securityGroups": self.security_groups,
                "assignPublicIp": "DISABLED",
            }
        }

    @property
    def poll_interval(self) -> timedelta:
        """`poll_seconds` as a timedelta."""
        return timedelta(seconds=self.poll_seconds)


class UiSettings(BaseSettings):
    """Addresses that Airflow's pages link to, as a browser reaches them: the `RATCHET_UI_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_UI_", frozen=True, extra="ignore", env_ignore_empty=True)

    mlflow: str = Field("", description="MLflow's address for a browser; if empty, RATCHET_TRACKING if it is http(s).")
    aws_console: bool = Field(
        True, description="Whether ECS tasks have a page in the AWS console; false on an emulator."
    )


class AlertSettings(BaseSettings):
    """The SNS topic of alerts: the `RATCHET_ALERTS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_ALERTS_", frozen=True, extra="ignore", env_ignore_empty=True)

    topic: str = Field("", description="ARN of the SNS topic; if empty, alerts are only logged.")


@cache
def ecs_settings() -> EcsSettings:
    """The ECS settings, read once per process. Parsing a DAG reads the environment only, never the network."""
    return EcsSettings()
