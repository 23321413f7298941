"""A task's links in Airflow's UI: where they lead, when they are there, and that they never fail a task."""

from __future__ import annotations

from typing import Any

import pytest

from harness.project import PROJECT
from orchestration.links import run_page, task_page, version_page
from orchestration.settings import UiSettings

CONSOLE = "https://console.aws.amazon.com/ecs/v2/clusters/ratchet/tasks/0a1b2c/configuration?region=eu-west-1"
MLFLOW = "http://mlflow.example:5000/#"
ARN = "arn:aws:ecs:eu-west-1:123456789012:task/ratchet/0a1b2c"


@pytest.fixture(scope="module")
def links(responses: dict[str, Any]) -> dict[str, Any]:
    """The links of each task that Airflow's REST API returns after a real DAG run."""
    links: dict[str, Any] = responses["links"]
    return links


@pytest.mark.parametrize(
    ("task", "link", "page"),
    [
        ("train", "MLflow run", f"{MLFLOW}/runs/5f0e"),
        ("mapped 1", "MLflow run", f"{MLFLOW}/runs/b"),
        ("evaluate", "Model version", f"{MLFLOW}/models/review-sentiment/versions/7"),
        ("score", "Model version", f"{MLFLOW}/models/review-sentiment/versions/6"),
        ("train", "ECS task", CONSOLE),
        ("failed", "ECS task", CONSOLE),
    ],
)
def test_a_task_links_to_what_it_made(links: dict[str, Any], task: str, link: str, page: str) -> None:
    """A training to its run, a judgement to its version, each to its ECS task, even if it failed."""
    assert links[task][link] == page


@pytest.mark.parametrize(
    ("task", "link"),
    [
        ("train", "Model version"), ("evaluate", "MLflow run"), ("evaluate_broken", "Model version"),
        ("ingest", "MLflow run"), ("ingest", "Model version"), ("failed", "MLflow run"), ("odd_arn", "ECS task"),
    ],
)  # fmt: skip
def test_a_link_to_nothing_is_not_shown(links: dict[str, Any], task: str, link: str) -> None:
    """Airflow's UI leaves out a link without an address."""
    assert links[task][link] is None


def test_a_running_task_already_links_to_its_ecs_task(links: dict[str, Any]) -> None:
    """The link is most useful while the task runs."""
    (running,) = links["while it ran"]
    assert running == {"MLflow run": None, "Model version": None, "ECS task": CONSOLE}


def test_no_link_fails_a_task(links: dict[str, Any]) -> None:
    """An ARN that is none costs the link and nothing else; only the task that is meant to fail has failed."""
    assert {task for task, state in links["states"].items() if state != "success"} == {"failed"}


def test_mlflow_is_where_a_browser_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address inside the network is of no use to a browser outside."""
    monkeypatch.setenv("RATCHET_TRACKING", "http://mlflow:5000")
    assert run_page("5f0e") == "http://mlflow:5000/#/runs/5f0e"
    monkeypatch.setenv("RATCHET_UI_MLFLOW", "https://mlflow.example.org/")
    monkeypatch.setenv("RATCHET_REGISTERED_MODEL", "sentiment/de")
    assert run_page("5f0e") == "https://mlflow.example.org/#/runs/5f0e"
    assert version_page(3) == "https://mlflow.example.org/#/models/sentiment%2Fde/versions/3"


@pytest.mark.parametrize("tracking", ["sqlite:///mlflow.db", ""])
def test_without_a_server_there_is_no_page(monkeypatch: pytest.MonkeyPatch, tracking: str) -> None:
    """A file cannot be browsed."""
    monkeypatch.setenv("RATCHET_TRACKING", tracking)
    assert (run_page("5f0e"), version_page(3)) == ("", "")


def test_an_emulator_has_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to AWS would lead to an account that knows nothing of the task."""
    monkeypatch.setenv("RATCHET_UI_AWS_CONSOLE", "false")
    assert task_page(ARN) == ""


@pytest.mark.parametrize(
    ("partition", "console"), [("aws-cn", "console.amazonaws.cn"), ("aws-us-gov", "console.amazonaws-us-gov.com")]
)
def test_each_partition_has_its_console(partition: str, console: str) -> None:
    """China and GovCloud are elsewhere."""
    assert task_page(ARN.replace(":aws:", f":{partition}:")).startswith(f"https://{console}/ecs/v2/clusters/ratchet/")


def test_every_setting_of_the_ui_is_documented() -> None:
    """Every setting is documented."""
    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in UiSettings.model_fields if f"`RATCHET_UI_{name.upper()}`" not in guide] == []
