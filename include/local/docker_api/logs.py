"""A container's output, stored as Docker's json-file driver stores it and sent as its API sends it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path

STREAMS = {"stdout": 1, "stderr": 2}  # the API's numbers


def timestamp(moment: datetime | None) -> str:
    """RFC 3339 in UTC, as Docker writes it; None is Docker's zero time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else "0001-01-01T00:00:00Z"


class Log:
    """A file with one JSON object per line of output; readers follow it without polling."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self._written = asyncio.Event()

    def write(self, stream: str, line: bytes) -> None:
        """Append one line of output of `stream`, which is stdout or stderr."""
        text, now = line.decode(errors="replace"), timestamp(datetime.now(UTC))
        record = {"log": text, "stream": stream, "time": now}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self._notify_readers()

    def close(self) -> None:
        """End the log: readers that follow it reach the end."""
        self._file.close()
        self._notify_readers()

    async def frames(
        self, streams: Collection[str], *, follow: bool, timestamps: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """The lines of these streams as frames.

        First the last ``tail`` lines in the log (None: all of them); then, with ``follow``, new lines until the log is
        closed.
        """
        with self._path.open(encoding="utf-8") as file:
            for record in deque((r for r in map(json.loads, file) if r["stream"] in streams), maxlen=tail):
                yield frame(record, timestamps=timestamps)
            while follow:
                if line := file.readline():
                    if (record := json.loads(line))["stream"] in streams:
                        yield frame(record, timestamps=timestamps)
                elif self._file.closed:
                    return
                else:
                    await self._written.wait()

    def _notify_readers(self) -> None:
        self._written.set()
        self._written = asyncio.Event()


def frame(record: dict[str, str], *, timestamps: bool) -> bytes:
    """A line after a header of 8 bytes, which names its stream and its length."""
    text = f"{record['time']} {record['log']}" if timestamps else record["log"]
    payload = text.encode()
    return bytes([STREAMS[record["stream"]], 0, 0, 0]) + len(payload).to_bytes(4) + payload
