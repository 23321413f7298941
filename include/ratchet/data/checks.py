"""What the columns of a source must hold, as a pandera model: the border that every review crosses once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from ratchet.data.records import Row


class Incoming(pa.DataFrameModel):
    """Rows of the right form, as they came: the class of the Kaggle layout, a title that may be empty, a text."""

    label: str = pa.Field(isin=["1", "2"])
    title: str
    text: str = pa.Field(str_length={"min_value": 1})

    class Config:
        strict = True


# The reason of a refusal, by the column that broke its check. A row that broke several gets the first.
REASONS = {"label": "label not 1 or 2", "text": "no text"}


def refused(rows: Sequence[Row]) -> dict[int, str]:
    """The rows that are no reviews: position in `rows` and reason."""
    frame = pd.DataFrame([row[1:] for row in rows], columns=["label", "title", "text"], dtype="str")
    try:
        Incoming.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        return {
            int(place): reason
            for column, reason in reversed(REASONS.items())
            for place in cases.loc[cases["column"] == column, "index"]
        }
    return {}
