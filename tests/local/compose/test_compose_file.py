"""Promises of docker-compose.yaml and of the Dockerfiles, read without an engine; `tests/stack` has the proof."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.project import PROJECT
from local.compose.env_file import Env

COMPOSE = (PROJECT / "docker-compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
IMAGES = ("airflow", "aws", "dashboard", "mlflow", "serving", "training")
FACTS = {"DOCKER_GID", "CODE_VERSION", "RATCHET_PROJECT", "SOURCE", "SEED_BATCHES", "IMAGE_TAG"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_on_loopback(name: str) -> None:
    """Nobody else in the café sees Airflow."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_read_only_root_and_no_capabilities(name: str) -> None:
    """What an attacker could not write, they could not leave behind."""
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_every_variable_is_made_by_make_up(tmp_path: Path) -> None:
    """A new password is generated like the others, or the first `make up` would stop."""
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert used <= set(Env.made(tmp_path / ".env", {}).values) | FACTS


def test_no_password_has_a_default() -> None:
    """`:-` is for what may be known."""
    assert set(re.findall(r"\$\{(\w+):-", COMPOSE)) <= FACTS


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_built_in_stages_from_a_known_base_and_runs_as_nobody(image: str) -> None:
    """No compiler, no cache and no root in what runs; its commit on the label; its health said."""
    text = (PROJECT / f"containers/{image}/Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"python:3.12-slim"}
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root)\w+", final, re.M)
    assert "HEALTHCHECK" in final
    assert "org.opencontainers.image.revision=$CODE_VERSION" in final
    assert not re.search(r"^ARG (?!CODE_VERSION)", text, re.M)


@pytest.mark.parametrize("part", [*(f"{image}/requirements" for image in (*IMAGES, "build")), "serving/kernels"])
def test_an_image_is_locked_by_hash_to_what_is_tested(part: str) -> None:
    """Each part of the lock agrees with the whole, and names no index."""
    lock = (PROJECT / f"containers/{part}.txt").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock)
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    whole = set(re.findall(r"^([\w.-]+==[^\s;]+)", (PROJECT / "requirements.txt").read_text(), re.M))
    assert set(re.findall(r"^([\w.-]+==[^\s;]+)", lock, re.M)) <= whole
