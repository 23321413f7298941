"""A container: one process group, from its creation to its exit."""

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

from local.docker_api.logs import Log
from local.docker_api.process_guard import ProcessGuard, kill_group

# Output ends when both pipes close; a process that left the group with setsid can keep them open for ever.
DRAIN_SECONDS = 2
NOT_STARTED = 127  # Docker's exit code if the program does not exist
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux


@dataclass
class Container:
    """Its status is created, then running, then exited; ``exited`` is set when the log has the last line of output.

    Its files are in the folder ``home``; ``peak_memory`` is in bytes.
    """

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

    def start(self, guard: ProcessGuard) -> None:
        """Start the process. Raises OSError if the program does not exist."""
        try:
            self._process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.home / "work",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=guard.register_self,  # noqa: PLW1509 - safe: the server has one thread
            )
        except OSError:
            self.exit_code = NOT_STARTED
            raise
        self.status, self.started = "running", datetime.now(UTC)
        self._supervision = asyncio.create_task(self._supervise(self._process, guard))

    def reap(self) -> None:
        """If this container's first process has ended, record its exit code and memory, and kill its group."""
        if not (process := self._running_process()):
            return
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            kill_group(pid)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            self.exit_code = code if code >= 0 else 128 - code
            self.peak_memory = usage.ru_maxrss * MAXRSS_UNIT
            self._reaped.set()

    def signal(self, number: int) -> None:
        """Send a signal to the first process, as Docker does; when it ends, its group is killed."""
        if process := self._running_process():
            os.kill(process.pid, number)

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL if it has not ended ``grace`` seconds later."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.exited.wait(), grace)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self.signal(signal.SIGKILL)
        await self.exited.wait()

    def delete_files(self) -> None:
        """Delete log and working folder; a client that reads the log still reads it to the end."""
        self.log.close()
        shutil.rmtree(self.home)

    def _running_process(self) -> subprocess.Popen[bytes] | None:
        return self._process if self._process and self._process.returncode is None else None

    async def _supervise(self, process: subprocess.Popen[bytes], guard: ProcessGuard) -> None:
        pipes = {"stdout": process.stdout, "stderr": process.stderr}
        output = [asyncio.create_task(self._record(stream, pipe)) for stream, pipe in pipes.items() if pipe]
        await self._reaped.wait()
        guard.unregister(process.pid)
        _, unfinished = await asyncio.wait(output, timeout=DRAIN_SECONDS)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        self.log.close()
        self.status, self.finished = "exited", datetime.now(UTC)
        self.exited.set()

    async def _record(self, stream: str, pipe: IO[bytes]) -> None:
        """Write whole lines only, because ministack would make two log events of a line sent in two parts."""
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
