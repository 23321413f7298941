"""Estimated cost of jobs as Fargate tasks, from list prices, for the dashboard and `make bench-full`. Not a bill."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ratchet.errors import ConfigurationError

# Fargate on demand, Linux on x86, us-east-1, list prices of November 2026; 2 vCPUs come with 4 to 16 GiB in steps of 1.
VCPUS, VCPU_HOUR, GIB_HOUR = 2, 0.04048, 0.004445
SIZES = range(4, 17)
MIN_BILLED_SECONDS = 60
TERMS = (
    f"us-east-1's list price for Linux on x86 of November 2026 (${VCPU_HOUR} a vCPU-hour, ${GIB_HOUR} a GB-hour), by "
    "the second, at least a minute each"
)


def task_gib(peak: float) -> int:
    """The memory, in GiB, of the smallest task with 2 vCPUs for a job with a peak of `peak` GiB.

    Raises ConfigurationError if the largest task is too small.
    """
    for size in SIZES:
        if size >= peak:
            return size
    raise ConfigurationError(
        f"No Fargate task with {VCPUS} vCPUs fits a job of {peak:.1f} GiB; the largest has {SIZES[-1]}. "
        "Use more vCPUs, or Spark for data of this size."
    )


def dollars(seconds: Iterable[float], gib: int) -> float:
    """The price of one task with `gib` GiB for each of these durations; the start of a task is not included."""
    billed = sum(max(MIN_BILLED_SECONDS, math.ceil(each)) for each in seconds)
    return billed / 3600 * (VCPUS * VCPU_HOUR + gib * GIB_HOUR)
