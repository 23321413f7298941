"""Every job by its name, found by walking this folder: a file with a `Job` in it is all that a job needs.

The DAG and the CLI give the same options here and so agree on what a job makes and where. Options may be text, as on a
command line: `JOBS["train"](window="0-4", candidate="linear-svc")`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from inspect import isabstract

from ratchet import jobs
from ratchet.jobs.base import Job


def _found() -> Iterator[type[Job]]:
    for file in pkgutil.iter_modules(jobs.__path__, f"{jobs.__name__}."):
        for value in vars(import_module(file.name)).values():
            here = isinstance(value, type) and value.__module__ == file.name
            if here and issubclass(value, Job) and not isabstract(value):
                yield value


JOBS: dict[str, type[Job]] = {job.name: job for job in sorted(_found(), key=lambda job: job.order)}
"""The class of each job by its name, in the order of the CLI."""
