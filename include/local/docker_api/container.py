"""One container: a process group, from its creation to its exit."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from local.docker_api.lifeline import Lifeline, kill
from local.docker_api.logs import Log

# Output ends when both pipes close; a process that left the group with setsid may hold them open for ever.
DRAIN_SECONDS = 2
NOT_STARTED = 127  # the exit code Docker gives when there is no such program
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux


@dataclass
class Container:
    """Created, then running, then exited; ``exited`` is set once the last line of output is in the log."""

    id: str
    name: str
    image: str
    command: list[str]
    env: dict[str, str]
    labels: dict[str, str]
    home: Path
    status: str = "created"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int = 0
    peak_memory: int = 0
    exited: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        (self.home / "work").mkdir(parents=True)
        self.log = Log(self.home / "log.json")
        self._process: subprocess.Popen[bytes] | None = None
        self._reaped = asyncio.Event()

    def start(self, lifeline: Lifeline) -> None:
        """Raises OSError when there is no such program."""
        try:
            self._process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.home / "work",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=lifeline.enrol,  # safe here: the engine has one thread
            )
        except OSError:
            self.exit_code = NOT_STARTED
            raise
        self.status, self.started = "running", datetime.now(UTC)
        self._life = asyncio.create_task(self._live(self._process, lifeline))

    def reap(self) -> None:
        """At each SIGCHLD: if it was this process that ended, takes what it left and ends its group."""
        if not (process := self._living()):
            return
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            kill(pid)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            self.exit_code = code if code >= 0 else 128 - code
            self.peak_memory = usage.ru_maxrss * MAXRSS_UNIT
            self._reaped.set()

    def signal(self, number: int) -> None:
        """To the first process, as Docker does; when that one ends, its group ends with it."""
        if process := self._living():
            os.kill(process.pid, number)

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL if it has not ended ``grace`` seconds later."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.exited.wait(), grace)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.exited.wait()

    def discard(self) -> None:
        """Removes its files; whoever is reading the log reads it to the end."""
        self.log.close()
        shutil.rmtree(self.home)

    def _living(self) -> subprocess.Popen[bytes] | None:
        return self._process if self._process and self._process.returncode is None else None

    async def _live(self, process: subprocess.Popen[bytes], lifeline: Lifeline) -> None:
        pipes = {"stdout": process.stdout, "stderr": process.stderr}
        output = [asyncio.create_task(self._record(stream, pipe)) for stream, pipe in pipes.items() if pipe]
        await self._reaped.wait()
        lifeline.dismiss(process.pid)
        _, endless = await asyncio.wait(output, timeout=DRAIN_SECONDS)
        for task in endless:
            task.cancel()
        await asyncio.gather(*endless, return_exceptions=True)
        self.log.close()
        self.status, self.finished = "exited", datetime.now(UTC)
        self.exited.set()

    async def _record(self, stream: str, pipe: IO[bytes]) -> None:
        """Whole lines only: ministack would make two log events of a line sent in two parts."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        rest = b""
        try:
            while chunk := await reader.read(2**16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.log.write(stream, line + b"\n")
        finally:
            transport.close()
            if rest:
                self.log.write(stream, rest)
