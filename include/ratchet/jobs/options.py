"""Options that several jobs share, with their help and their checks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ratchet.errors import ConfigurationError
from ratchet.windows import Window

ENGINES = ("local", "spark")
"""The engines of `preprocess` and `split`: this process, or Spark. Not a parameter, because the bytes are equal."""


def _engine(name: str) -> str:
    if name not in ENGINES:
        raise ConfigurationError(f"{name!r} is no engine. Choose one of: {', '.join(ENGINES)}.")
    return name


def _window(text: str | Window) -> Window:
    return text if isinstance(text, Window) else Window.parse(text)


Delivery = Annotated[str, Field(description="`seed`, or `batch_10` and so on for a batch that arrived alone.")]
Batch = Annotated[str, Field(description="`batch_00` and so on, or `test`.")]
Engine = Annotated[
    str,
    AfterValidator(_engine),
    Field(description="The engine: `local`, or `spark` (docs/spark.md). Both give the same bytes."),
]
WindowOption = Annotated[Window, BeforeValidator(_window), Field(description="The window of batches, for example 0-4.")]
