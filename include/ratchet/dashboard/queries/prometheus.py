"""Prometheus' text format, and what two looks at the same counters say about the time between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.errors import ConfigurationError

Key = tuple[str, frozenset[tuple[str, str]]]
"""A name and its labels."""
Values = Mapping[Key, float]

LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")
LABEL = re.compile(r'\s*([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"\s*,?')
ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
COUNTS = ("_total", "_count", "_sum", "_bucket")


@dataclass(frozen=True)
class Look:
    """All values at one time, in seconds of the Unix clock."""

    at: float
    values: Values


def parsed(text: str) -> Values:
    """The samples of an exposition (text format 0.0.4). Raises ConfigurationError for anything else."""
    return dict(_sample(line) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _sample(line: str) -> tuple[Key, float]:
    found = LINE.fullmatch(line.strip())
    try:
        name, labels, value = found.groups()
        return (name, frozenset(_labels(labels or ""))), float(value)
    except (AttributeError, ValueError):
        raise ConfigurationError(
            f"What answers is no Prometheus metrics: {line[:60]!r}. Correct RATCHET_DASHBOARD_API."
        ) from None


def _labels(text: str) -> list[tuple[str, str]]:
    return [(name, re.sub(r"\\.", _unescaped, value)) for name, value in LABEL.findall(text)]


def _unescaped(one: re.Match[str]) -> str:
    return ESCAPED.get(one[0], one[0])


def total(values: Values, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels, among others."""
    return sum(value for key, value in values.items() if key[0] == name and labels.items() <= set(key[1]))


def by(values: Values, name: str, label: str, **labels: str) -> dict[str, float]:
    """The sum by the values of one label."""
    sums: dict[str, float] = {}
    for (found, given), value in values.items():
        if found == name and labels.items() <= set(given):
            group = dict(given).get(label, "")
            sums[group] = sums.get(group, 0.0) + value
    return sums


def increase(before: Look, now: Look) -> Values | None:
    """How much every counter grew; None if one shrank, because the process that counts is another one then."""
    counters = {key: value for key, value in now.values.items() if key[0].endswith(COUNTS)}
    grown = {key: value - before.values.get(key, 0.0) for key, value in counters.items()}
    lost = any(key not in counters for key in before.values if key[0].endswith(COUNTS))
    return None if lost or any(value < 0 for value in grown.values()) else grown


def quantile(values: Values, name: str, share: float, **labels: str) -> float | None:
    """The value under which this share of a histogram lies, as PromQL's histogram_quantile estimates it.

    Linear inside a bucket; of what lies above the last finite limit only that limit is known. None without samples.
    """
    buckets = sorted((float(limit), count) for limit, count in by(values, f"{name}_bucket", "le", **labels).items())
    if not buckets or not buckets[-1][1]:
        return None
    wanted, below, under = share * buckets[-1][1], 0.0, 0.0
    for limit, count in buckets:
        if count >= wanted and count > under:
            if limit == float("inf"):
                return below
            return below + (limit - below) * (wanted - under) / (count - under)
        below, under = limit, count
    return below


def histogram(values: Values, name: str) -> list[tuple[float, float, float]]:
    """(from, to, count) of every bucket but the one without a limit, the first from 0."""
    found, below, under = [], 0.0, 0.0
    for limit, count in sorted((float(limit), count) for limit, count in by(values, f"{name}_bucket", "le").items()):
        if limit != float("inf"):
            found.append((below, limit, count - under))
            below, under = limit, count
    return found
