"""The page Live: parsing of Prometheus metrics, traffic between two snapshots, and charts of the prediction log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.dashboard import LogRow, charts, fake_api, fill_log, metrics, page, render, text
from ratchet.dashboard.queries import prometheus, traffic
from ratchet.dashboard.queries.prometheus import MetricsSnapshot, parse_metrics
from ratchet.errors import ConfigurationError

NOW = datetime.now(UTC)


def exposition(requests: int, failed: int = 0, problem: int = 0, lost: int = 0) -> str:
    """The metrics of an API after this many requests: half took 5 ms, and 99 % took at most 10 ms."""
    slow = requests // 100
    return f"""# HELP ratchet_requests_total Answered, by route and status.
# TYPE ratchet_requests_total counter
ratchet_requests_total{{route="/v1/predict",status="200"}} {requests - failed}
ratchet_requests_total{{route="/v1/predict",status="503"}} {failed}
ratchet_requests_total{{route="/metrics",status="200"}} 1
ratchet_requests_created{{route="/v1/predict",status="200"}} 1.7e9
ratchet_request_seconds_bucket{{le="0.005",route="/v1/predict"}} {requests // 2}
ratchet_request_seconds_bucket{{le="0.01",route="/v1/predict"}} {requests - slow}
ratchet_request_seconds_bucket{{le="+Inf",route="/v1/predict"}} {requests}
ratchet_predictions_total{{arm="champion",label="1",model_version="3"}} {3 * requests}
ratchet_probability_bucket{{le="0.5"}} {requests}
ratchet_probability_bucket{{le="1.0"}} {3 * requests}
ratchet_probability_bucket{{le="+Inf"}} {3 * requests}
ratchet_champion_problem {problem}
ratchet_log_rows_total{{outcome="lost"}} {lost}

"""


def test_the_text_format_is_parsed_as_specified() -> None:
    """Labels in any order, escapes, exponents, infinities, timestamps, comments and blank lines."""
    odd = r'a_total{x="1",y="with \"quotes\", \\ and \n, {braces}"} 1.5e3 1700000000000'
    found = parse_metrics(f"{odd}\n\n# a comment\nb +Inf\nc{{}} 2\n")
    assert found == {
        ("a_total", frozenset({("x", "1"), ("y", 'with "quotes", \\ and \n, {braces}')})): 1500.0,
        ("b", frozenset()): float("inf"),
        ("c", frozenset()): 2.0,
    }


@pytest.mark.parametrize("other", ["<html>", "a_total one", '{"status": "alive"}', "{, =1} 2"])
def test_other_text_is_refused(other: str) -> None:
    """Another service answers at the address; the message names the setting to correct."""
    with pytest.raises(ConfigurationError, match=r"not Prometheus metrics .* Correct RATCHET_DASHBOARD_API"):
        parse_metrics(other)


def test_quantiles_are_those_of_promql() -> None:
    """Linear inside a bucket; the last limit for values above it; None without samples."""
    values = parse_metrics(exposition(1000))
    assert prometheus.quantile(values, traffic.DURATION, 0.25) == pytest.approx(0.0025)
    assert prometheus.quantile(values, traffic.DURATION, 0.5) == pytest.approx(0.005)
    assert prometheus.quantile(values, traffic.DURATION, 0.99) == pytest.approx(0.01)
    assert prometheus.quantile(values, traffic.DURATION, 0.999) == pytest.approx(0.01)
    assert prometheus.quantile(values, traffic.DURATION, 0.5, route="/other") is None


def test_a_histogram_is_counted_by_bucket() -> None:
    """The cumulative counts become counts per bucket; the infinite bucket is left out."""
    table = traffic.probability_histogram(parse_metrics(exposition(1000)))
    assert table.values.tolist() == [[0.0, 0.5, 1000.0], [0.5, 1.0, 2000.0]]


def test_one_snapshot_gives_counts_and_no_rate() -> None:
    """It is not known since when the API has counted."""
    found = traffic.measure([MetricsSnapshot(100.0, parse_metrics(exposition(1000)))])
    assert found.seconds is None
    assert traffic.routes(found)["rate"].isna().all()
    assert traffic.routes(found)["requests"].tolist() == [1000, 1]


def test_two_snapshots_give_a_rate() -> None:
    """1,000 more requests in 50 seconds, 10 of them failed; earlier requests do not count."""
    snapshots = traffic.add_snapshot(
        [MetricsSnapshot(100.0, parse_metrics(exposition(1000)))],
        MetricsSnapshot(150.0, parse_metrics(exposition(2000, failed=10))),
    )
    table = traffic.routes(traffic.measure(snapshots)).set_index("route")
    assert table.loc["/v1/predict", "rate"] == 20
    assert table.loc["/v1/predict", "failed"] == pytest.approx(0.01)
    assert table.loc["/v1/predict", "refused"] == 0
    assert table.loc["/v1/predict", "p50"] == pytest.approx(5)
    assert "/metrics" not in table.index


def test_a_restart_discards_earlier_snapshots() -> None:
    """Counters that shrank or vanished belong to another process, with which earlier snapshots do not compare."""
    before, after = (
        MetricsSnapshot(100.0, parse_metrics(exposition(1000))),
        MetricsSnapshot(150.0, parse_metrics(exposition(10))),
    )
    assert traffic.add_snapshot([before], after) == [after]
    fresh = MetricsSnapshot(150.0, {})
    assert traffic.add_snapshot([before], fresh) == [fresh]


def test_old_snapshots_are_discarded() -> None:
    """A snapshot is discarded after five minutes."""
    snapshots = [MetricsSnapshot(float(at), parse_metrics(exposition(1000))) for at in (0, 200)]
    assert [
        each.at for each in traffic.add_snapshot(snapshots, MetricsSnapshot(400.0, parse_metrics(exposition(1000))))
    ] == [200.0, 400.0]


def test_the_page_shows_rates_from_the_second_snapshot_on(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run shows counts since the API started."""
    responses = {"/metrics": (200, exposition(1000))}
    with fake_api(responses, monkeypatch):
        found = page("live").run()
        assert "First measurement" in text(found)
        assert metrics(found) == {
            "Reviews classified": "3,000", "Failed (5xx)": "0.00%", "p99 of /v1/predict": "10.0 ms",
            "Predicted positive": "100.0%",
        }  # fmt: skip
        assert charts(found) == 1
        responses["/metrics"] = (200, exposition(2000, failed=500))
        found.run()
    assert not found.exception
    assert "First measurement" not in text(found)
    assert metrics(found)["Reviews classified"].endswith(" /s")
    assert metrics(found)["Failed (5xx)"] == "50.00%"


def test_conditions_that_need_a_person_are_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion that is not served, and lost rows of the log."""
    with fake_api({"/metrics": (200, exposition(1, problem=1, lost=7))}, monkeypatch):
        found = render("live")
    assert "does not serve the ledger's champion" in found.warning[0].value
    assert "7 rows of the prediction log were lost" in found.error[0].value


def test_an_api_without_requests_is_not_an_error(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics contain no request."""
    with fake_api({"/metrics": (200, "ratchet_champion_problem 0\n")}, monkeypatch):
        found = render("live")
    assert "There were no requests" in text(found)
    assert not found.error


def test_an_api_without_metrics_is_an_error(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older API has none, or the key lacks the role."""
    with fake_api({"/metrics": (404, {"detail": "There is no such path."})}, monkeypatch):
        assert "has no /metrics: update it" in text(render("live"))
    with fake_api({"/metrics": (403, {"detail": "It needs the role admin."})}, monkeypatch):
        assert "may not use /metrics: It needs the role admin." in text(render("live"))


def test_the_log_is_charted_by_hour_version_and_arm(store: Path) -> None:
    """Predictions of the last day or month, and their probabilities."""
    rows: list[LogRow] = [
        (f"p{number}", NOW - timedelta(hours=number), 3, "champion", number / 20) for number in range(20)
    ]
    rows += [("old", NOW - timedelta(days=3), 2, "champion", 1.0), ("p1", NOW, 4, "shadow", 0.4)]
    fill_log(f"sqlite:///{store}/ledger.db", rows, {})
    found = page("live").run()
    assert not found.exception
    assert charts(found) == 2
    found.selectbox[0].set_value("last 30 days").run()
    assert not found.exception
    assert charts(found) == 2
