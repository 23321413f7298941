"""What a person sees, in a real browser; `--pictures docs/images` makes the README's pictures anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from harness.browser import Tab, browser
from stack.stage import Stage

Keep = Callable[[str], None]


@pytest.fixture(scope="module")
def tab(weeks: Stage) -> Iterator[Tab]:
    """A browser that is logged in to Airflow."""
    if not shutil.which("chromium"):
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    with browser() as tab:
        tab.open(f"{weeks.compose.env.urls['airflow']}/dags/review_sentiment")
        tab.type("input[name=username]", "admin")
        tab.type("input[name=password]", weeks.compose.env["AIRFLOW_ADMIN_PASSWORD"])
        tab.press("button[type=submit]")
        tab.until_text("review_sentiment", "Trigger")
        yield tab


@pytest.fixture
def keep(request: pytest.FixtureRequest, tab: Tab, tmp_path: Path) -> Keep:
    """Take a picture, and keep it small: 160 colours are enough for a screen."""
    folder = request.config.getoption("pictures") or tmp_path

    def take(name: str) -> None:
        tab.picture(tmp_path / "whole.png")
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(tmp_path / "whole.png").convert("RGB").quantize(160).save(folder / f"{name}.png", optimize=True)

    return take


def test_the_graph_shows_three_sections(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """Data engineering, training and retraining, with what became of them in week 2."""
    tab.open(f"{weeks.compose.env.urls['airflow']}/dags/review_sentiment/runs/week_2__2026-01-19")
    tab.size(1700, 700)
    tab.press("button[value=graph]")
    for task in ("plan_week", "data_engineering", "choose_section", "training", "retraining"):
        tab.until(f"!!document.querySelector('.react-flow__node[data-id=\"{task}\"]')")
    keep("graph")


def test_the_trigger_form_asks_for_the_params(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """Each Param with its title and its words."""
    tab.open(f"{weeks.compose.env.urls['airflow']}/dags/review_sentiment")
    tab.size(1280, 1000)
    tab.click("Trigger")
    tab.until_text("Window end", "Candidate", "Force retrain", "Require approval")
    keep("trigger")


def test_the_champion_page_opens_inside_airflow(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """Who serves, and why, in the frame of Airflow's own page."""
    tab.size(1280, 800)
    tab.open(f"{weeks.compose.env.urls['airflow']}/plugin/champion")
    tab.until("document.querySelector('iframe')?.contentDocument?.body?.innerText.includes('is champion')")
    keep("champion")


def test_a_tasks_log_is_its_jobs_log(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """The lines of the container, and, among the details, the link to the MLflow run."""
    task = f"{weeks.compose.env.urls['airflow']}/dags/review_sentiment/runs/week_2__2026-01-19/tasks/retraining.train"
    tab.size(1280, 800)
    tab.open(task)
    tab.until_text("job done")
    keep("log")
    tab.open(f"{task}/details")
    tab.until_text("MLflow run")


def test_mlflow_names_the_champion(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """The registered model, its versions and their aliases."""
    tab.size(1600, 800)
    tab.open(f"{weeks.compose.env.urls['mlflow']}/#/models/review-sentiment")
    tab.until_text("Versions", "champion")
    keep("registry")


def test_the_dashboard_draws_the_curve(weeks: Stage, tab: Tab, keep: Keep) -> None:
    """Streamlit reads the same ledger, and asks the API with a key that may."""
    dashboard = f"http://127.0.0.1:{weeks.compose.env['DASHBOARD_PORT']}"
    tab.size(1280, 1000)
    tab.open(f"{dashboard}/live")
    tab.until_text("Reviews classified")
    tab.open(dashboard)
    tab.until_text("0-2")
    keep("dashboard-retraining")
