"""Who does the work of `preprocess` and `split`: this process, or Spark. The result is the same to the byte."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ratchet.errors import ConfigurationError

ENGINES = {"local": "ratchet.data", "spark": "ratchet.data.spark"}
"""Where the jobs of an engine are. It is no parameter of a job: what one engine has made stands for the other."""


def job(name: str, engine: str) -> Callable[..., None]:
    """What makes `preprocess` or `split`. Raises ConfigurationError for an engine that does not exist."""
    if engine not in ENGINES:
        raise ConfigurationError(f"{engine!r} is no engine. Choose one of: {', '.join(ENGINES)}.")
    make: Callable[..., None] = getattr(import_module(f"{ENGINES[engine]}.{name}"), name)
    return make
