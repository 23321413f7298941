"""Request rate, errors and latency of the API by route, from its counters."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ratchet.dashboard.queries import prometheus
from ratchet.dashboard.queries.prometheus import MetricsSnapshot, Values

REQUESTS, DURATION = "ratchet_requests_total", "ratchet_request_seconds"
MAX_AGE_SECONDS = 300.0  # older snapshots would hide what happens now


@dataclass(frozen=True)
class Traffic:
    """Counts, and the seconds in which they grew; None: since the API's start, whose time the counters do not have."""

    values: Values
    seconds: float | None

    def rate(self, count: float) -> float | None:
        """`count` per second; None where the time is not known."""
        return count / self.seconds if self.seconds else None


def add_snapshot(snapshots: list[MetricsSnapshot], newest: MetricsSnapshot) -> list[MetricsSnapshot]:
    """The snapshots that can be compared with the newest, and it: at most MAX_AGE_SECONDS old, of the same process."""
    recent = [each for each in snapshots if each.at >= newest.at - MAX_AGE_SECONDS]
    is_same_process = not recent or prometheus.increase(recent[-1], newest) is not None
    return [*recent, newest] if is_same_process else [newest]


def measure(snapshots: list[MetricsSnapshot]) -> Traffic:
    """The traffic from the oldest snapshot to the newest; from a single one, all since the API started."""
    first, last = snapshots[0], snapshots[-1]
    growth = prometheus.increase(first, last) if last.at > first.at else None
    return Traffic(last.values, None) if growth is None else Traffic(growth, last.at - first.at)


def routes(traffic: Traffic) -> pd.DataFrame:
    """A row per route with requests, the busiest first: `route`, `requests`, `rate`, `refused`, `failed`, quantiles.

    `rate` is requests per second. `refused` (4xx) and `failed` (5xx) are shares of the requests; the quantiles `p50`,
    `p95` and `p99` are milliseconds.
    """
    rows = []
    for route, requests in sorted(prometheus.by(traffic.values, REQUESTS, "route").items()):
        if requests:
            statuses = prometheus.by(traffic.values, REQUESTS, "status", route=route)
            shares = [_share(statuses, digit) for digit in "45"]
            times = [prometheus.quantile(traffic.values, DURATION, share, route=route) for share in (0.5, 0.95, 0.99)]
            rows.append((route, int(requests), traffic.rate(requests), *shares, *map(_milliseconds, times)))
    columns = ["route", "requests", "rate", "refused", "failed", "p50", "p95", "p99"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["rate", "p50", "p95", "p99"], float))
    return table.sort_values("requests", ascending=False, ignore_index=True)


def _share(statuses: dict[str, float], digit: str) -> float:
    """The share of responses whose status begins with this digit."""
    return sum(count for status, count in statuses.items() if status.startswith(digit)) / sum(statuses.values())


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def probability_histogram(values: Values) -> pd.DataFrame:
    """The API's histogram of the probability of label 1: `low`, `high`, `reviews`."""
    return pd.DataFrame(prometheus.histogram(values, "ratchet_probability"), columns=["low", "high", "reviews"])
