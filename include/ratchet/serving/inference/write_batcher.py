"""Rows of requests that come together reach the prediction log together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.predictions import Prediction


class GroupCommit:
    """While one write is on its way, in a thread, the rows of all who come meanwhile gather for the next.

    So the loop hears of a write once, and not once for each request; and the busier it is, the more share a write.
    """

    def __init__(self, log: PredictionLog) -> None:
        self.log = log
        self._rows: list[Prediction] = []
        self._next: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None

    async def record(self, rows: Sequence[Prediction]) -> None:
        """Returns when the log has the rows, or has counted them as lost. A fault reaches those whose write it hit."""
        self._rows.extend(rows)
        if self._next is None:
            self._next = asyncio.create_task(self._write(after=self._last))
        await asyncio.shield(self._next)  # whoever is cancelled takes nobody's rows along

    async def _write(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])  # whatever became of it
        rows, self._rows = self._rows, []
        self._last, self._next = self._next, None
        await asyncio.get_running_loop().run_in_executor(None, self.log.record, rows)
