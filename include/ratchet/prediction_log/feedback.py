"""What was true: the label of a prediction, told later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ratchet.prediction_log.rows import Row

Outcome = Literal["added", "known", "contradicts", "unknown prediction", "accepted"]
"""What became of a label. The first one for a prediction stays: the same again is `known`, another one `contradicts`.
`unknown prediction`: kept, but the log has no such prediction, or not yet. `accepted`: kept, and to be compared later.
"""


@dataclass(frozen=True)
class Feedback(Row):
    """The true label of one prediction."""

    prediction_id: str
    label: Literal[0, 1]
    at: datetime
