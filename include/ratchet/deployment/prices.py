"""What jobs cost as Fargate tasks, for the dashboard and `make bench-full`: an assumption from list prices, no bill."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ratchet.errors import ConfigurationError

# Fargate on demand, Linux on x86, us-east-1, list prices of November 2026; 2 vCPUs come with 4 to 16 GiB in steps of 1.
VCPUS, VCPU_HOUR, GIB_HOUR = 2, 0.04048, 0.004445
SIZES = range(4, 17)
SHORTEST = 60  # seconds billed at least
TERMS = (
    f"us-east-1's list price for Linux on x86 of November 2026 (${VCPU_HOUR} a vCPU-hour, ${GIB_HOUR} a GB-hour), by "
    "the second, at least a minute each"
)


def task_gib(peak: float) -> int:
    """The memory of the smallest task with 2 vCPUs that holds a job of `peak` GiB. Raises ConfigurationError."""
    for size in SIZES:
        if size >= peak:
            return size
    raise ConfigurationError(
        f"No Fargate task with {VCPUS} vCPUs holds a job of {peak:.1f} GiB; the largest has {SIZES[-1]}. "
        "Take more vCPUs, or Spark for what is that large."
    )


def dollars(seconds: Iterable[float], gib: int) -> float:
    """The price of one task a job, each of these many seconds, with `gib` GiB; the start of a task is not in it."""
    billed = sum(max(SHORTEST, math.ceil(each)) for each in seconds)
    return billed / 3600 * (VCPUS * VCPU_HOUR + gib * GIB_HOUR)
