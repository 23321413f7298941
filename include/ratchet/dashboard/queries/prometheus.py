"""Metrics in the Prometheus text format, and the growth of counters between two snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from ratchet.errors import ConfigurationError

Key = tuple[str, frozenset[tuple[str, str]]]
"""The name of a sample and its labels."""
Values = Mapping[Key, float]

COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")


@dataclass(frozen=True)
class MetricsSnapshot:
    """All samples at one time. `at` is in seconds of the Unix clock."""

    at: float
    values: Values


def parse_metrics(text: str) -> Values:
    """The samples of an exposition in Prometheus' text format 0.0.4. Raises ConfigurationError for other text."""
    try:
        return {
            (sample.name, frozenset(sample.labels.items())): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except (ValueError, IndexError) as error:  # some malformed labels are an IndexError in the parser
        raise ConfigurationError(
            f"The response is not Prometheus metrics ({str(error)[:80]}). Correct RATCHET_DASHBOARD_API."
        ) from error


def total(values: Values, name: str, **labels: str) -> float:
    """The sum over all samples with this name and at least these labels."""
    return sum(value for key, value in values.items() if key[0] == name and labels.items() <= set(key[1]))


def by(values: Values, name: str, label: str, **labels: str) -> dict[str, float]:
    """The sums of the samples with this name and at least these labels, by the value of one label."""
    sums: dict[str, float] = {}
    for (sample, sample_labels), value in values.items():
        if sample == name and labels.items() <= set(sample_labels):
            group = dict(sample_labels).get(label, "")
            sums[group] = sums.get(group, 0.0) + value
    return sums


def increase(before: MetricsSnapshot, now: MetricsSnapshot) -> Values | None:
    """The growth of every counter; None if one shrank or vanished, because another process counts then."""
    counters = {key: value for key, value in now.values.items() if key[0].endswith(COUNTER_SUFFIXES)}
    growth = {key: value - before.values.get(key, 0.0) for key, value in counters.items()}
    vanished = any(key not in counters for key in before.values if key[0].endswith(COUNTER_SUFFIXES))
    return None if vanished or any(value < 0 for value in growth.values()) else growth


def quantile(values: Values, name: str, share: float, **labels: str) -> float | None:
    """The estimate of PromQL's histogram_quantile: the value below which `share` (0 to 1) of a histogram lies.

    Linear inside a bucket; a quantile above the last finite limit is that limit. None without samples.
    """
    buckets = sorted((float(limit), count) for limit, count in by(values, f"{name}_bucket", "le", **labels).items())
    if not buckets or not buckets[-1][1]:
        return None
    rank, lower, count_below = share * buckets[-1][1], 0.0, 0.0
    for limit, count in buckets:
        if count >= rank and count > count_below:
            if limit == float("inf"):
                return lower
            return lower + (limit - lower) * (rank - count_below) / (count - count_below)
        lower, count_below = limit, count
    return lower


def histogram(values: Values, name: str) -> list[tuple[float, float, float]]:
    """(lower limit, upper limit, count) of every bucket with a finite limit; the first begins at 0."""
    buckets, lower, count_below = [], 0.0, 0.0
    for limit, count in sorted((float(limit), count) for limit, count in by(values, f"{name}_bucket", "le").items()):
        if limit != float("inf"):
            buckets.append((lower, limit, count - count_below))
            lower, count_below = limit, count
    return buckets
