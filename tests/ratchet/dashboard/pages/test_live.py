"""The page on the API's traffic: Prometheus' text as it is written, two looks at it, and what the log says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.dashboard import charts, drawn, facts, fake_api, logged, page, text
from ratchet.dashboard.queries import prometheus, traffic
from ratchet.dashboard.queries.prometheus import Look, parsed
from ratchet.errors import ConfigurationError

NOW = datetime.now(UTC)


def exposition(requests: int, failed: int = 0, problem: int = 0, lost: int = 0) -> str:
    """What an API says that answered so many requests: half in 5 ms, all but one in a hundred in 10 ms."""
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


def test_the_text_format_is_read_as_it_is_defined() -> None:
    """Labels in any order, escapes, exponents, infinities, time stamps, comments and blank lines."""
    odd = r'a_total{x="1",y="with \"quotes\", \\ and \n, {braces}"} 1.5e3 1700000000000'
    found = parsed(f"{odd}\n\n# a comment\nb +Inf\nc{{}} 2\n")
    assert found == {
        ("a_total", frozenset({("x", "1"), ("y", 'with "quotes", \\ and \n, {braces}')})): 1500.0,
        ("b", frozenset()): float("inf"),
        ("c", frozenset()): 2.0,
    }


@pytest.mark.parametrize("other", ["<html>", "a_total one", '{"status": "alive"}'])
def test_other_text_is_refused(other: str) -> None:
    """What is no exposition is somebody else's page."""
    with pytest.raises(ConfigurationError, match="no Prometheus metrics"):
        parsed(other)


def test_quantiles_are_those_of_promql() -> None:
    """Linear inside a bucket; above the last limit only that limit is known; of nothing there is none."""
    values = parsed(exposition(1000))
    assert prometheus.quantile(values, traffic.DURATION, 0.25) == pytest.approx(0.0025)
    assert prometheus.quantile(values, traffic.DURATION, 0.5) == pytest.approx(0.005)
    assert prometheus.quantile(values, traffic.DURATION, 0.99) == pytest.approx(0.01)
    assert prometheus.quantile(values, traffic.DURATION, 0.999) == pytest.approx(0.01)
    assert prometheus.quantile(values, traffic.DURATION, 0.5, route="/other") is None


def test_a_histogram_is_counted_by_bucket() -> None:
    """From its cumulative counts; the bucket without a limit is none."""
    table = traffic.probabilities(parsed(exposition(1000)))
    assert table.values.tolist() == [[0.0, 0.5, 1000.0], [0.5, 1.0, 2000.0]]


def test_one_look_gives_counts_and_no_rate() -> None:
    """How long the API has counted is not known."""
    found = traffic.between([Look(100.0, parsed(exposition(1000)))])
    assert found.seconds is None
    assert traffic.routes(found)["rate"].isna().all()
    assert traffic.routes(found)["requests"].tolist() == [1000, 1]


def test_two_looks_give_a_rate() -> None:
    """1,000 requests more in 50 seconds, 10 of them failed; what happened before does not count."""
    looks = traffic.remember([Look(100.0, parsed(exposition(1000)))], Look(150.0, parsed(exposition(2000, failed=10))))
    table = traffic.routes(traffic.between(looks)).set_index("route")
    assert table.loc["/v1/predict", "rate"] == 20
    assert table.loc["/v1/predict", "failed"] == pytest.approx(0.01)
    assert table.loc["/v1/predict", "refused"] == 0
    assert table.loc["/v1/predict", "p50"] == pytest.approx(5)
    assert "/metrics" not in table.index


def test_a_restart_begins_anew() -> None:
    """Counters that shrank or vanished are another process's: the look from before it says nothing about it."""
    before, after = Look(100.0, parsed(exposition(1000))), Look(150.0, parsed(exposition(10)))
    assert traffic.remember([before], after) == [after]
    fresh = Look(150.0, {})
    assert traffic.remember([before], fresh) == [fresh]


def test_old_looks_are_forgotten() -> None:
    """After five minutes."""
    looks = [Look(float(at), parsed(exposition(1000))) for at in (0, 200)]
    assert [look.at for look in traffic.remember(looks, Look(400.0, parsed(exposition(1000))))] == [200.0, 400.0]


def test_the_page_gives_rates_from_its_second_look_on(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first says that it is the only one."""
    answers = {"/metrics": (200, exposition(1000))}
    with fake_api(answers, monkeypatch):
        found = page("live").run()
        assert "One look so far" in text(found)
        assert facts(found) == {
            "Reviews read": "3,000", "Failed (5xx)": "0.00%", "p99 of /v1/predict": "10.0 ms",
            "Read as positive": "100.0%",
        }  # fmt: skip
        assert charts(found) == 1
        answers["/metrics"] = (200, exposition(2000, failed=500))
        found.run()
    assert not found.exception
    assert "One look so far" not in text(found)
    assert facts(found)["Reviews read"].endswith(" /s")
    assert facts(found)["Failed (5xx)"] == "50.00%"


def test_what_needs_a_person_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion that is not served, and rows that were lost."""
    with fake_api({"/metrics": (200, exposition(1, problem=1, lost=7))}, monkeypatch):
        found = drawn("live")
    assert "does not serve the ledger's champion" in found.warning[0].value
    assert "7 rows of the prediction log were lost" in found.error[0].value


def test_a_quiet_api_is_not_one_that_is_down(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exposition without a request."""
    with fake_api({"/metrics": (200, "ratchet_champion_problem 0\n")}, monkeypatch):
        found = drawn("live")
    assert "Nobody asked anything" in text(found)
    assert not found.error


def test_an_api_that_gives_no_metrics_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one has none; a key may not be allowed to."""
    with fake_api({"/metrics": (404, {"detail": "There is no such path."})}, monkeypatch):
        assert "has no /metrics: update it" in text(drawn("live"))
    with fake_api({"/metrics": (403, {"detail": "It needs the role admin."})}, monkeypatch):
        assert "may not ask /metrics: It needs the role admin." in text(drawn("live"))


def test_the_log_is_drawn_by_hour_version_and_arm(store: Path) -> None:
    """What was answered in the last day, and how sure it was."""
    rows = [(f"p{number}", NOW - timedelta(hours=number), 3, "champion", number / 20) for number in range(20)]
    rows += [("old", NOW - timedelta(days=3), 2, "champion", 1.0), ("p1", NOW, 4, "shadow", 0.4)]
    logged(f"sqlite:///{store}/ledger.db", rows, {})
    found = page("live").run()
    assert not found.exception
    assert charts(found) == 2
    found.selectbox[0].set_value("last 30 days").run()
    assert not found.exception
    assert charts(found) == 2
