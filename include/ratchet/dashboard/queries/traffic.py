"""How the API fares: rate, errors and latency by route, from its counters."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ratchet.dashboard.queries import prometheus
from ratchet.dashboard.queries.prometheus import Look, Values

REQUESTS, DURATION = "ratchet_requests_total", "ratchet_request_seconds"
REMEMBERED = 300.0  # seconds: looks from longer ago say little about now


@dataclass(frozen=True)
class Traffic:
    """What was counted, and in how many seconds; None since the API started, which nobody knows here."""

    values: Values
    seconds: float | None

    def rate(self, count: float) -> float | None:
        """Per second; None where the time is not known."""
        return count / self.seconds if self.seconds else None


def remember(looks: list[Look], now: Look) -> list[Look]:
    """The looks that can be compared with the newest: not too old, and of the same process."""
    recent = [each for each in looks if each.at >= now.at - REMEMBERED]
    return [*recent, now] if not recent or prometheus.increase(recent[-1], now) is not None else [now]


def between(looks: list[Look]) -> Traffic:
    """From the oldest look to the newest; from a single one, all since the API started."""
    first, last = looks[0], looks[-1]
    grown = prometheus.increase(first, last) if last.at > first.at else None
    return Traffic(last.values, None) if grown is None else Traffic(grown, last.at - first.at)


def routes(traffic: Traffic) -> pd.DataFrame:
    """A row per route that was asked, the busiest first: `route`, `requests`, `rate`, `refused`, `failed`, quantiles.

    Refused are 4xx, failed 5xx, both as shares; `p50`, `p95` and `p99` are milliseconds.
    """
    found = []
    for route, requests in sorted(prometheus.by(traffic.values, REQUESTS, "route").items()):
        if requests:
            statuses = prometheus.by(traffic.values, REQUESTS, "status", route=route)
            shares = [_share(statuses, kind) for kind in "45"]
            times = [prometheus.quantile(traffic.values, DURATION, share, route=route) for share in (0.5, 0.95, 0.99)]
            found.append((route, int(requests), traffic.rate(requests), *shares, *map(_milliseconds, times)))
    columns = ["route", "requests", "rate", "refused", "failed", "p50", "p95", "p99"]
    table = pd.DataFrame(found, columns=columns).astype(dict.fromkeys(["rate", "p50", "p95", "p99"], float))
    return table.sort_values("requests", ascending=False, ignore_index=True)


def _share(statuses: dict[str, float], kind: str) -> float:
    """Of statuses that begin with this digit."""
    return sum(count for status, count in statuses.items() if status.startswith(kind)) / sum(statuses.values())


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def probabilities(values: Values) -> pd.DataFrame:
    """The histogram of probabilities: `low`, `high`, `reviews`."""
    return pd.DataFrame(prometheus.histogram(values, "ratchet_probability"), columns=["low", "high", "reviews"])
