"""The API against its OpenAPI description: schemathesis sends valid and invalid requests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.serving import KEY, Api, Deployment, until_version

OPENAPI_FILES = Path(__file__).parent / "openapi"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,ignored_auth"
)


def responses_by_status(client: httpx.Client) -> dict[str, float]:
    """The number of responses of each status, by the API's own metrics."""
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        for sample in family.samples:
            if sample.name == "ratchet_requests_total":
                counts[sample.labels["status"]] = counts.get(sample.labels["status"], 0) + sample.value
    return counts


@pytest.mark.parametrize("cases", [300, pytest.param(10_000, marks=pytest.mark.minutes)])
def test_the_api_matches_its_description(deployment: Deployment, api: Api, tmp_path: Path, cases: int) -> None:
    """Hundreds or thousands of valid and invalid requests: no 5xx, and no response that OpenAPI does not describe."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
        before = responses_by_status(client)
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(OPENAPI_FILES / "schemathesis.toml")),
            *("run", f"{client.base_url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"),
            *("--checks", CHECKS, "--max-examples", str(cases // 2)),  # for each of the two routes with bodies
        ]
        paths = {"PYTHONPATH": str(OPENAPI_FILES)}
        done = subprocess.run(
            command, env=os.environ | paths, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        found = {status: count - before.get(status, 0) for status, count in responses_by_status(client).items()}
    assert done.returncode == 0, "\n".join(line[:300] for line in f"{done.stdout}{done.stderr}".splitlines())
    assert sum(found.values()) >= cases
    assert [status for status, count in found.items() if count and status >= "500"] == []
