"""The page Champion in a real Airflow: who may read it, and what it shows of a ledger in every state."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ratchet.ledger.decision import Verdict

Response = dict[str, Any]


@pytest.fixture(scope="module")
def pages(responses: dict[str, Any]) -> dict[str, Response]:
    pages: dict[str, Response] = responses["pages"]
    return pages


def words(response: Response) -> str:
    """The visible text of the page, on one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", response["text"], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def rows(response: Response) -> list[str]:
    """Each row of the table, as words."""
    return [words({"text": row}) for row in re.findall(r"<tr>(.*?)</tr>", response["text"], re.DOTALL)[1:]]


def test_airflow_lists_the_plugin_without_an_error(airflow_env: dict[str, str]) -> None:
    """`airflow plugins` knows the app and the entry in the navigation, which opens inside Airflow's page."""
    command = [str(Path(sys.executable).with_name("airflow")), "plugins", "--output", "json"]
    done = subprocess.run(command, env=airflow_env, capture_output=True, text=True, check=True)
    (plugin,) = json.loads(done.stdout)
    assert plugin["name"] == "champion"
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/champion"]
    (view,) = plugin["external_views"]
    assert (view["name"], view["href"], view["url_route"], view["destination"]) == (
        "Champion", "champion/", "champion", "nav",
    )  # fmt: skip
    assert "error" not in done.stderr.lower()


def test_loading_plugins_does_not_load_the_page(responses: dict[str, Any]) -> None:
    """Every task's process loads plugins; only an API server needs FastAPI."""
    assert responses["loaded late"]


@pytest.mark.parametrize("who", ["no session", "expired", "forged"])
def test_a_browser_without_a_session_is_sent_to_airflow_s_login(pages: dict[str, Response], who: str) -> None:
    """After the login it returns to the page."""
    response = pages[f"{who}, page"]
    assert (response["status"], response["text"]) == (303, "")
    assert response["headers"]["location"] == "/api/v2/auth/login?next=%2Fchampion%2F"


@pytest.mark.parametrize(
    ("visit", "status"),
    [
        ("no session, json", 401), ("no session, page by a program", 401), ("forged, json", 403),
        ("no rights, json", 403), ("no rights, page", 403), ("documentation", 404),
    ],
)  # fmt: skip
def test_who_may_not_read_the_dag_reads_nothing(pages: dict[str, Response], visit: str, status: int) -> None:
    """Without a session, with a forged one, or without rights, the response has no text of the ledger."""
    response = pages[visit]
    assert response["status"] == status
    assert "macro" not in response["text"]
    assert "linear-svc" not in response["text"]


def test_logging_in_with_a_password_opens_the_page(pages: dict[str, Response]) -> None:
    """A viewer's token, given by Airflow for a password, is enough; a cookie gives the same page."""
    assert pages["password, page"]["status"] == 200
    assert words(pages["password, page"]) == words(pages["full, page"])


def test_the_page_shows_the_champion_since_when_and_why(pages: dict[str, Response]) -> None:
    """The first lines name the champion."""
    page = pages["full, page"]
    assert page["status"] == 200
    start = words(page).partition("Every decision")[0]
    assert "Version 9 is champion. Promoted by the gate." in start
    assert "an improvement beyond chance: macro-F1 +0.0350" in start
    assert "logistic-regression, trained on 0-8" in start
    assert "10 5 promote, 4 keep, 1 rollback" in start


def test_the_history_is_whole_and_newest_first(pages: dict[str, Response]) -> None:
    """Ten rows: action, version, window, both scores, difference, p-value, champion after it, reasons, by whom."""
    table = rows(pages["full, page"])
    assert [re.findall("promote|keep|rollback", row)[0] for row in table] == [
        "promote", "keep", "rollback", "keep", "promote", "keep", "promote", "keep", "promote", "promote",
    ]  # fmt: skip
    assert "promote v9 logistic-regression 0-8 0.9105 vs 0.8755 +0.0350 p < 0.0001 v9 now" in table[0]
    assert "keep v8 logistic-regression 0-7 0.8552 vs 0.8755 −0.0200 p < 0.0001 v4 no improvement" in table[1]
    assert "and 3 more" in table[1]
    assert table[2].endswith("rollback v4 – – – v4 rolled back from version 6 by hand by maria · code 3f2c1ab")
    assert "v1 linear-svc 0-0 0.8290 – v1 there is no champion yet" in table[9]
    assert "by the gate · DAG run · code 3f2c1ab" in table[9]


def test_a_reason_opens_to_every_check(pages: dict[str, Response]) -> None:
    """Passed and failed checks appear with the gate's messages."""
    row = rows(pages["full, page"])[5]
    assert "✗ calibration error 0.0900 is over" in row
    assert "✓ macro-F1 0.8738 is above the floor 0.7" in row


def test_versions_and_runs_are_links(pages: dict[str, Response]) -> None:
    """Links lead to MLflow's address for browsers, without credentials, and to Airflow's page of the DAG run."""
    text = pages["full, page"]["text"]
    assert 'href="http://mlflow.example:5000/#/models/review-sentiment/versions/9" target="_blank"' in text
    assert 'href="/dags/review_sentiment/runs/scheduled__2026-01-12T00%3A00%3A00%2B00%3A00" target="_parent"' in text
    assert "hush" not in text


def test_machines_get_the_same_with_all_evidence(pages: dict[str, Response]) -> None:
    """The JSON is enough to compute a verdict again."""
    response = pages["full, json"]
    body = json.loads(response["text"])
    assert (response["status"], body["registered_model"], body["champion"]) == (200, "review-sentiment", 9)
    assert [row["id"] for row in body["decisions"]] == list(range(10, 0, -1))
    assert [row["champion"] for row in body["decisions"]] == [9, 4, 4, 6, 6, 4, 4, 2, 2, 1]
    assert Verdict(**body["decisions"][0]["gate"]["verdict"]).promote


def test_an_empty_ledger_is_shown_with_the_next_step(pages: dict[str, Response]) -> None:
    """No decision yet is no error."""
    page, body = pages["empty, page"], json.loads(pages["empty, json"]["text"])
    assert page["status"] == 200
    assert "No decision yet" in words(page)
    assert "Trigger the DAG review_sentiment" in words(page)
    assert body == {"registered_model": "review-sentiment", "champion": None, "decisions": []}


def test_a_ledger_that_does_not_answer_is_named_without_its_password(pages: dict[str, Response]) -> None:
    """A person reads what to do, a program gets the status; neither sees a traceback or a secret."""
    page, body = pages["unreachable, page"], pages["unreachable, json"]
    assert (page["status"], body["status"]) == (503, 503)
    assert "The ledger cannot be read now" in words(page)
    for response in (page, body):
        assert "127.0.0.1:9/ratchet did not answer" in response["text"]
        assert "Is Postgres up?" in response["text"]
        assert "hush" not in response["text"]
        assert "Traceback" not in response["text"]


def test_hostile_text_stays_text(pages: dict[str, Response]) -> None:
    """Text in the ledger becomes no markup, no template, and no address outside of Airflow."""
    page = pages["hostile, page"]
    assert page["status"] == 200
    assert page["text"].count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page["text"]
    assert "{{ 7 * 7 }}" in words(page)
    assert 'onload="' not in page["text"]
    assert "runs/..%2F..%2F%3Cscript%3E" in page["text"]


@pytest.mark.parametrize("visit", ["full, page", "no session, page", "no session, json", "unreachable, page"])
def test_every_response_keeps_foreign_code_and_frames_out(pages: dict[str, Response], visit: str) -> None:
    """Only our own style and script run, only Airflow frames the page, and no cache keeps it."""
    headers = pages[visit]["headers"]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_the_page_fetches_nothing(pages: dict[str, Response]) -> None:
    """The page loads no font, picture, style or script."""
    assert re.findall(r"<(?:link|img|iframe)\b|\bsrc=|@import|url\(", pages["full, page"]["text"]) == []
