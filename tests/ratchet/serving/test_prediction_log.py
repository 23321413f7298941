"""The rows that the API logs of its predictions, and the feedback for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from harness.prediction_log import Postgres, in_files, in_tables, labels_in_tables, postgres_server
from harness.serving import Api, Deployment, Mlflow, process_of, until_version, wait_until
from ratchet.errors import ConfigurationError
from ratchet.model import artifact
from ratchet.serving.app import create_app
from ratchet.serving.settings import ServingSettings

REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


def predict(client: httpx.Client, *reviews: dict[str, str]) -> Any:
    """The predictions for some reviews."""
    return client.post("/v1/predict", json={"reviews": reviews}).raise_for_status().json()["predictions"]


def send_labels(client: httpx.Client, **labels: int) -> httpx.Response:
    """The response to some true labels, by prediction_id."""
    feedback = [{"prediction_id": name, "label": label} for name, label in labels.items()]
    return client.post("/v1/feedback", json={"feedback": feedback})


def outcomes(response: httpx.Response) -> list[str]:
    return [each["outcome"] for each in response.raise_for_status().json()["feedback"]]


def test_every_prediction_has_its_row(client: httpx.Client, deployment: Deployment, registered: Mlflow) -> None:
    """A row has prediction, version, time, lengths and the number of known terms, but not the text."""
    other = {"text": "Zyxgh zyxgh good zyxgh."}
    predictions = predict(client, {**REVIEW, "prediction_id": "a"}, {**other, "prediction_id": "b"})
    rows = in_tables(deployment.settings.ledger_url)
    assert [(row.prediction_id, row.label, round(row.probability, 12)) for row in rows] == [
        (each["prediction_id"], each["label"], round(each["probability"], 12)) for each in predictions
    ]
    model = artifact.load(registered.bench.store / registered.trained(1).prefix)
    known = {column for column in model.columns.tolist() if model.table[column, 0]}
    for row, review in zip(rows, (REVIEW, other), strict=True):
        counts = artifact.counted([review.get("title", "")], [review["text"]])
        assert row.terms == len(known & set(counts.columns.tolist())) > 0
        assert (row.title_length, row.text_length) == (len(review.get("title", "")), len(review["text"]))
        assert (row.model_version, row.arm, row.key, row.title, row.text) == (1, "champion", "tests", None, None)
        assert datetime.now(UTC) - timedelta(seconds=30) < row.at.replace(tzinfo=UTC) < datetime.now(UTC)
        assert 0 < row.seconds < 30
    assert rows[1].terms < len(set(counts.columns.tolist()))


def test_every_row_names_its_arm_and_its_experiment(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """Drawn reviews have a row of their arm, the champion's also one of shadow mode; earlier rows have no mark."""
    deployment.promote(1)
    registered.nominate(1)
    given = {"serving_challenger_share": 0.5, "serving_shadow": True}
    reviews = [REVIEW | {"prediction_id": f"order-{number}"} for number in range(100)]
    with api(deployment.settings.model_copy(update=given)) as client:
        until_version(client, 1)
        predict(client, REVIEW | {"prediction_id": "before"})
        registered.nominate(3)
        wait_until(lambda: client.get("/v1/model").json()["experiment"]["challenger"] is not None)
        predictions = predict(client, *reviews)
    rows = {(row.prediction_id, row.arm): row for row in in_tables(deployment.settings.ledger_url)}
    assert rows.pop(("before", "champion")).experiment == ""
    drawn = [("champion", 1), ("challenger", 3), ("shadow", 3)]
    assert {(arm, row.model_version) for (_, arm), row in rows.items()} == set(drawn)
    assert {row.experiment for row in rows.values()} == {"1/3/0.5"}
    for each in predictions:
        identity = each["prediction_id"], each["arm"]
        assert rows.pop(identity).model_version == each["model_version"]
        assert (each["arm"] == "champion") == (rows.pop((each["prediction_id"], "shadow"), None) is not None)
    assert rows == {}


def test_text_is_stored_only_when_allowed(deployment: Deployment, api: Api) -> None:
    """With the setting, text is stored except for NUL, which Postgres does not accept."""
    deployment.promote(1)
    with api(deployment.settings.model_copy(update={"serving_log_text": True})) as client:
        until_version(client, 1)
        predict(client, {"title": "Größe", "text": "nul \0 and\n没有", "prediction_id": "a"})
    (row,) = in_tables(deployment.settings.ledger_url)
    assert (row.title, row.text, row.text_length) == ("Größe", "nul \ufffd and\n没有", 12)


def test_a_request_may_be_sent_again(client: httpx.Client, deployment: Deployment) -> None:
    """The response is the same, with one row. Another review under an old id is predicted; the first row stays."""
    first = {**REVIEW, "prediction_id": "order-1"}
    assert predict(client, first) == predict(client, first)
    predict(client, {"text": "Something else entirely, and terrible.", "prediction_id": "order-1"})
    (row,) = in_tables(deployment.settings.ledger_url)
    assert row.text_length == len(REVIEW["text"])


def test_labels_are_joined_to_their_predictions(client: httpx.Client, deployment: Deployment) -> None:
    """A repeated label is known; one of an unknown prediction is stored, because the prediction may arrive later."""
    predict(client, *({**REVIEW, "prediction_id": name} for name in "abc"))
    assert outcomes(send_labels(client, a=1, b=0)) == ["added", "added"]
    assert outcomes(send_labels(client, b=0, c=1, z=1)) == ["known", "added", "unknown prediction"]
    assert labels_in_tables(deployment.settings.ledger_url) == {"a": 1, "b": 0, "c": 1, "z": 1}


def test_another_label_is_a_conflict(client: httpx.Client, deployment: Deployment) -> None:
    """409 names the contradicting labels; the others are stored, and the first label of each prediction stays."""
    predict(client, *({**REVIEW, "prediction_id": name} for name in "abc"))
    assert outcomes(send_labels(client, b=1)) == ["added"]
    response = send_labels(client, a=1, b=0, c=0)
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert list(response.json()["errors"]) == ["feedback.1.label"]
    assert labels_in_tables(deployment.settings.ledger_url) == {"a": 1, "b": 1, "c": 0}


def test_a_request_has_at_most_a_thousand_labels(client: httpx.Client) -> None:
    """1 and 1,000 are accepted; 0, 1,001, repeated predictions and invalid labels are refused with their location."""
    for many in (1, 1_000):
        assert len(outcomes(send_labels(client, **{f"p-{many}-{number}": 1 for number in range(many)}))) == many
    twice = [{"prediction_id": "a", "label": label} for label in (0, 1)]
    for feedback, place in (
        ([], "feedback"),
        ([{"prediction_id": f"p-{number}", "label": 1} for number in range(1_001)], "feedback"),
        (twice, "feedback"),
        ([{"prediction_id": "a", "label": 2}], "feedback.0.label"),
        ([{"prediction_id": "a b", "label": 1}], "feedback.0.prediction_id"),
        ([{"prediction_id": "a"}], "feedback.0.label"),
    ):
        response = client.post("/v1/feedback", json={"feedback": feedback})
        assert response.status_code == 422
        assert place in response.json()["errors"]


def test_rows_are_spooled_while_the_database_is_down(deployment: Deployment, api: Api) -> None:
    """Predictions are answered and labels accepted; both are stored as soon as a process reaches the database."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    with api(deployment.without_services()) as client:
        until_version(client, 1)
        predict(client, {**REVIEW, "prediction_id": "a"})
        assert outcomes(send_labels(client, a=0)) == ["accepted"]
    with api(deployment.settings):
        wait_until(lambda: labels_in_tables(deployment.settings.ledger_url) == {"a": 0})
    assert [row.prediction_id for row in in_tables(deployment.settings.ledger_url)] == ["a"]
    assert list(deployment.settings.serving_log_spool.iterdir()) == []


def test_labels_that_cannot_be_stored_are_refused(deployment: Deployment, api: Api) -> None:
    """With the sink down and the spool full, predictions are answered, but feedback gets 503 and must be sent again."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    with api(deployment.without_services().model_copy(update={"serving_log_spool_bytes": 0})) as client:
        until_version(client, 1)
        assert len(predict(client, REVIEW)) == 1
        response = send_labels(client, a=1)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "hunter2" not in response.text


def test_postgres_may_stop_and_start_under_load(deployment: Deployment, server: Postgres) -> None:
    """Two processes serve while Postgres restarts twice: all responses are 200, and each prediction has a row."""
    deployment.promote(1)
    stop = threading.Event()

    def keep_predicting(client: httpx.Client, caller: str) -> list[str]:
        given: list[str] = []
        while not stop.is_set():
            reviews = [{**REVIEW, "prediction_id": f"{caller}-{len(given) + each}"} for each in range(3)]
            given += [str(each["prediction_id"]) for each in predict(client, *reviews)]
        return given

    here = deployment.settings.model_copy(update={"serving_log": server.url})
    with ExitStack() as stack, ThreadPoolExecutor(4) as callers:
        clients = [stack.enter_context(process_of(_with_cache(here, f"cache-{number}")))[1] for number in range(2)]
        for client in clients:
            until_version(client, 1)
        futures = [callers.submit(keep_predicting, clients[number % 2], str(number)) for number in range(4)]
        try:
            for _ in range(2):
                server.stop()
                wait_until(lambda: any(here.serving_log_spool.iterdir()))
                server.start()
                wait_until(lambda: not any(here.serving_log_spool.iterdir()))
        finally:
            server.start()
            stop.set()
        given = [each for future in futures for each in future.result()]
    assert len(given) == len(set(given)) > 0
    assert sorted(row.prediction_id for row in in_tables(server.url)) == sorted(given)


def _with_cache(settings: ServingSettings, name: str) -> ServingSettings:
    """The settings of another process, with a cache of its own and the same spool."""
    return settings.model_copy(update={"serving_cache": settings.serving_cache.with_name(name)})


def test_rows_may_be_stored_as_files(deployment: Deployment, api: Api, tmp_path: Path) -> None:
    """The files lie in a folder, by date; labels are accepted, and compared when they are read."""
    deployment.promote(1)
    with api(deployment.settings.model_copy(update={"serving_log": SecretStr(str(tmp_path / "log"))})) as client:
        until_version(client, 1)
        predict(client, {**REVIEW, "prediction_id": "a"}, {**REVIEW, "prediction_id": "b"})
        assert outcomes(send_labels(client, a=1)) == ["accepted"]
    assert [row.prediction_id for row in in_files(tmp_path / "log")] == ["a", "b"]
    assert len(list(tmp_path.glob("log/feedback/date=*/*.jsonl"))) == 1


def test_a_spool_in_the_cache_is_refused(deployment: Deployment) -> None:
    """The cache deletes every folder that is no model, and would delete spooled rows."""
    inside = deployment.settings.serving_cache / "spool"
    with pytest.raises(ConfigurationError, match="RATCHET_SERVING_LOG_SPOOL"):
        create_app(deployment.settings.model_copy(update={"serving_log_spool": inside}))


def test_known_terms_are_counted_for_each_review(registered: Mlflow) -> None:
    """A review without words between others has none."""
    model = artifact.load(registered.bench.store / registered.trained(3).prefix)
    known = model.known(artifact.counted(["", "", ""], ["good", "!", "good good"])).tolist()
    assert known[1] == 0
    assert 0 < known[0] <= known[2]
