"""The API against its own description: schemathesis asks what OpenAPI allows, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.serving import KEY, Api, Stage, until_version

ASKS = Path(__file__).parent / "openapi"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,ignored_auth"
)


def answered(client: httpx.Client) -> dict[str, float]:
    """How often each status was answered, as the API itself counted."""
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        for sample in family.samples:
            if sample.name == "ratchet_requests_total":
                counts[sample.labels["status"]] = counts.get(sample.labels["status"], 0) + sample.value
    return counts


@pytest.mark.parametrize("cases", [300, pytest.param(10_000, marks=pytest.mark.minutes)])
def test_the_api_is_as_it_describes_itself(stage: Stage, api: Api, tmp_path: Path, cases: int) -> None:
    """Valid and invalid requests by the hundreds or thousands: no 5xx, nothing that OpenAPI does not tell."""
    stage.promote(1)
    with api(stage.settings) as client:
        until_version(client, 1)
        before = answered(client)
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ASKS / "schemathesis.toml")),
            *("run", f"{client.base_url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"),
            *("--checks", CHECKS, "--max-examples", str(cases // 2)),  # two routes have bodies, and take them all
        ]
        paths = {"PYTHONPATH": str(ASKS)}
        done = subprocess.run(
            command, env=os.environ | paths, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        asked = {status: count - before.get(status, 0) for status, count in answered(client).items()}
    assert done.returncode == 0, "\n".join(line[:300] for line in f"{done.stdout}{done.stderr}".splitlines())
    assert sum(asked.values()) >= cases
    assert [status for status, count in asked.items() if count and status >= "500"] == []
