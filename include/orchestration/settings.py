"""Facts of the infrastructure, from Terraform through the environment. Choices of a run are Params, not here."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EcsSettings(BaseSettings):
    """Where jobs run: the `RATCHET_ECS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_ECS_", frozen=True, extra="ignore", env_ignore_empty=True)

    cluster: str = "ratchet"
    task_definition: str = "ratchet-training"
    container: str = "training"
    launch_type: Literal["FARGATE", "EC2"] = "FARGATE"
    subnets: list[str] = []
    security_groups: list[str] = []
    log_group: str = "/ratchet/jobs"
    log_prefix: str = "ecs"
    poll_seconds: float = Field(6, ge=0.1, description="Between looks at a task; little where a look costs nothing.")

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


@cache
def ecs_settings() -> EcsSettings:
    """Read once per process: DAG parsing reads the environment and touches no network."""
    return EcsSettings()
