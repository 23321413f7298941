"""A job with another implementation, for tests that need no more than part of what it does."""

from __future__ import annotations

from collections.abc import Callable

from ratchet.jobs.base import Job, JobContext


def substitute(job: Job, run: Callable[[JobContext], None]) -> Job:
    """The same job, by name, prefix and parameters, that does what `run` does."""

    class Substitute(type(job)):  # type: ignore[misc]  # a base that is known when the test runs
        def run(self, context: JobContext) -> None:
            run(context)

    Substitute.name = job.name
    return Substitute(**dict(job))
