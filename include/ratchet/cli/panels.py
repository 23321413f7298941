"""The groups of commands in `ratchet --help`, and the option that every group has."""

from __future__ import annotations

from typing import Annotated

import typer

JOBS = "Jobs"
CHAMPION = "Champion"
MODEL = "Model"
SERVICE = "Service"
MAINTENANCE = "Maintenance"

Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix. Default: RATCHET_STORE, or ./data.")]
