"""Facts of the infrastructure, from Terraform through the environment. Choices of a run are Params, not here."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class EcsSettings(BaseSettings):
    """Where jobs run: the `RATCHET_ECS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_ECS_", frozen=True, extra="ignore", env_ignore_empty=True)

    cluster: str = "ratchet"
    task_definition: str = "ratchet-training"
    container: str = "training"
    launch_type: Literal["FARGATE", "EC2"] = "FARGATE"
    spot: bool = Field(False, description="Launch on FARGATE_SPOT; a job that was interrupted twice goes on demand.")
    subnets: list[str] = []
    security_groups: list[str] = []
    log_group: str = "/ratchet/jobs"
    log_prefix: str = "ecs"
    poll_seconds: float = Field(6, ge=0.1, description="Between looks at a task; little where a look costs nothing.")
    patience_seconds: float = Field(
        600,  # shortages of Fargate and outages of an API mostly pass within minutes; Airflow's retries come on top
        ge=0,
        description="How long one try waits for capacity, or for an ECS that does not answer.",
    )

    @model_validator(mode="after")
    def _spot_is_of_fargate(self) -> EcsSettings:
        if self.spot and self.launch_type != "FARGATE":
            raise ValueError("RATCHET_ECS_SPOT is for Fargate. On EC2, use Spot instances in the cluster instead.")
        return self

    @property
    def network(self) -> dict[str, dict[str, list[str] | str]] | None:
        """Fargate needs a network; without subnets (the local stand-in) none is sent."""
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
        return timedelta(seconds=self.poll_seconds)


class UiSettings(BaseSettings):
    """What Airflow's pages link to, as a browser finds it: the `RATCHET_UI_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_UI_", frozen=True, extra="ignore", env_ignore_empty=True)

    mlflow: str = Field(
        "", description="MLflow's address for a browser; without one, RATCHET_TRACKING if it is http(s)."
    )
    aws_console: bool = Field(True, description="Whether ECS tasks have a page in the AWS console, as on AWS itself.")


class AlertSettings(BaseSettings):
    """Who hears of failures: the `RATCHET_ALERTS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_ALERTS_", frozen=True, extra="ignore", env_ignore_empty=True)

    topic: str = Field("", description="ARN of the SNS topic; without one, failures are only logged.")


@cache
def ecs_settings() -> EcsSettings:
    """Read once per process: DAG parsing reads the environment and touches no network."""
    return EcsSettings()
