"""Rules for docker-compose.yaml and the Dockerfiles, checked without a Docker engine; `tests/stack` runs them."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock

from harness.project import PROJECT
from local.compose.env_file import Env

COMPOSE = (PROJECT / "docker-compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
IMAGES = ("airflow", "aws", "dashboard", "mlflow", "serving", "training")
SETTINGS = {"DOCKER_GID", "CODE_VERSION", "RATCHET_PROJECT", "SOURCE", "SEED_BATCHES", "IMAGE_TAG"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_on_loopback(name: str) -> None:
    """No other machine of the network reaches Airflow."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_read_only_root_and_no_capabilities(name: str) -> None:
    """An attacker can change no file of an image."""
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_make_up_writes_every_variable(tmp_path: Path) -> None:
    """A variable that `make up` does not generate would stop the first start."""
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert used <= set(Env.update(tmp_path / ".env", {}).values) | SETTINGS


def test_no_password_has_a_default() -> None:
    """Only variables that are not secret have a default, written `:-`."""
    assert set(re.findall(r"\$\{(\w+):-", COMPOSE)) <= SETTINGS


def test_the_provision_service_needs_no_module_of_this_project() -> None:
    """The training image does not contain the package `local`, so the service mounts one file of it and runs that."""
    (mount,) = SERVICES["provision"]["volumes"]
    file, target, mode = mount.split(":")
    assert SERVICES["provision"]["entrypoint"] == ["python", target]
    assert mode == "ro"
    imported: set[str] = set()
    for node in ast.walk(ast.parse((PROJECT / file).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"boto3"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_built_in_stages_from_a_known_base_and_runs_as_an_unprivileged_user(image: str) -> None:
    """The final stage has no compiler, no cache and no root; it has a health check and a label with its commit."""
    text = (PROJECT / f"containers/{image}/Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"python:3.12-slim"}
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root)\w+", final, re.M)
    assert "HEALTHCHECK" in final
    assert "org.opencontainers.image.revision=$CODE_VERSION" in final
    assert not re.search(r"^ARG (?!CODE_VERSION)", text, re.M)


@pytest.mark.parametrize("part", [*(f"{image}/requirements" for image in (*IMAGES, "build")), "serving/kernels"])
def test_an_image_is_locked_by_hash_to_what_is_tested(part: str) -> None:
    """Each image's lock is part of requirements.txt, and names no index."""
    lock = (PROJECT / f"containers/{part}.txt").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock)
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    complete = set(re.findall(r"^([\w.-]+==[^\s;]+)", (PROJECT / "requirements.txt").read_text(), re.M))
    assert set(re.findall(r"^([\w.-]+==[^\s;]+)", lock, re.M)) <= complete
