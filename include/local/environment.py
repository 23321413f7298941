"""The environment of this process, lent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def applied(environment: Mapping[str, str]) -> Iterator[None]:
    """This process's environment, for as long as the block runs."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
