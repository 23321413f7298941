"""Replace this process's environment variables for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def replaced_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Make `environment` the only environment variables of this process until the block ends."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
