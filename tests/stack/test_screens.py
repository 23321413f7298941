"""The pages in a real browser; `--pictures docs/images` renews the README's pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from harness.browser import Tab, browser
from stack.deployment import Deployment

TakePicture = Callable[[str], None]


@pytest.fixture(scope="module")
def tab(deployment: Deployment) -> Iterator[Tab]:
    """A browser that is logged in to Airflow."""
    if not shutil.which("chromium"):
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    with browser() as tab:
        tab.open(f"{deployment.compose.env.urls['airflow']}/dags/review_sentiment")
        tab.type("input[name=username]", "admin")
        tab.type("input[name=password]", deployment.compose.env["AIRFLOW_ADMIN_PASSWORD"])
        tab.press("button[type=submit]")
        tab.until_text("review_sentiment", "Trigger")
        yield tab


@pytest.fixture
def take_picture(request: pytest.FixtureRequest, tab: Tab, tmp_path: Path) -> TakePicture:
    """Saves a picture of the page, small with 160 colours, which are enough for a screen."""
    folder = request.config.getoption("pictures") or tmp_path

    def take(name: str) -> None:
        tab.picture(tmp_path / "whole.png")
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(tmp_path / "whole.png").convert("RGB").quantize(160).save(folder / f"{name}.png", optimize=True)

    return take


def test_the_graph_shows_three_sections(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """Data engineering, training and retraining, with their states in week 2."""
    tab.open(f"{deployment.compose.env.urls['airflow']}/dags/review_sentiment/runs/week_2__2026-01-19")
    tab.size(1700, 700)
    tab.press("button[value=graph]")
    for task in ("plan_week", "data_engineering", "choose_section", "training", "retraining"):
        tab.until(f"!!document.querySelector('.react-flow__node[data-id=\"{task}\"]')")
    take_picture("graph")


def test_the_trigger_form_asks_for_the_params(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """Each Param is there with its title."""
    tab.open(f"{deployment.compose.env.urls['airflow']}/dags/review_sentiment")
    tab.size(1280, 1000)
    tab.click("Trigger")
    tab.until_text("Window end", "Candidate", "Force retrain", "Require approval")
    take_picture("trigger")


def test_the_champion_page_opens_inside_airflow(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """The page shows the champion and why, in the frame of Airflow's own page."""
    tab.size(1280, 800)
    tab.open(f"{deployment.compose.env.urls['airflow']}/plugin/champion")
    tab.until("document.querySelector('iframe')?.contentDocument?.body?.innerText.includes('is champion')")
    take_picture("champion")


def test_the_log_of_a_task_is_the_log_of_its_job(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """It has the container's lines; the details have the link to the MLflow run."""
    task = (
        f"{deployment.compose.env.urls['airflow']}/dags/review_sentiment/runs/week_2__2026-01-19/tasks/retraining.train"
    )
    tab.size(1280, 800)
    tab.open(task)
    tab.until_text("job done")
    take_picture("log")
    tab.open(f"{task}/details")
    tab.until_text("MLflow run")


def test_mlflow_names_the_champion(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """The registered model, its versions and their aliases are there."""
    tab.size(1600, 800)
    tab.open(f"{deployment.compose.env.urls['mlflow']}/#/models/review-sentiment")
    tab.until_text("Versions", "champion")
    take_picture("registry")


def test_the_dashboard_draws_the_retraining_curve(deployment: Deployment, tab: Tab, take_picture: TakePicture) -> None:
    """Streamlit reads the same ledger, and the API with a key that is allowed to."""
    dashboard = f"http://127.0.0.1:{deployment.compose.env['DASHBOARD_PORT']}"
    tab.size(1280, 1000)
    tab.open(f"{dashboard}/live")
    tab.until_text("Reviews classified")
    tab.open(dashboard)
    tab.until_text("Trained on batches", f"version {deployment.ledger.champion().version}")
    take_picture("dashboard-retraining")
