"""A proxy between Airflow and ECS that calls a function at a chosen moment of a chosen job, for example to kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from harness.fault_kinds import FaultKind, Response
from harness.fault_proxy import Faults, Handler, Proxy
from ratchet.errors import RatchetError

Moment = Literal["accepted", "running", "finished"]
"""RunTask was granted, but Airflow has no ARN yet; ECS reports that the job runs; the job has ended, but Airflow does
not know it yet."""
STATUS: dict[str, Moment] = {"RUNNING": "running", "STOPPED": "finished"}


class TapHandler(Handler):
    server: Tap

    def _finish(self, kind: FaultKind | None, response: Response) -> None:
        if kind is None and response.status == 200:
            self.server.observe(json.loads(response.body).get("tasks", []), self.headers["X-Amz-Target"])
        super()._finish(kind, response)


class Tap(Proxy):
    """A proxy without faults that ignores client tokens, so that only Ratchet itself prevents a second launch."""

    handler = TapHandler

    def __init__(self, upstream: str, host: str) -> None:
        super().__init__(upstream, Faults(honours_tokens=False), host)
        self.launches: Counter[str] = Counter()
        """The number of granted tasks by launch token."""
        self.jobs: dict[str, str] = {}
        self.acted: list[tuple[str, Moment]] = []
        self.failures: list[str] = []
        self._plans: dict[tuple[str, Moment], Callable[[], None]] = {}

    def latest(self, job: str) -> str:
        """The ARN of the job's last task."""
        return next(arn for arn, name in reversed(self.jobs.items()) if name == job)

    def plan(self, job: str, moment: Moment, act: Callable[[], None]) -> None:
        """Call `act` once, before the response that shows the moment is sent."""
        self._plans[job, moment] = act

    def observe(self, tasks: list[dict[str, Any]], target: str) -> None:
        """Count launches, and call the planned functions, for the tasks in a response to this target."""
        for task in tasks:
            if target.endswith(".RunTask"):
                self.launches[task["startedBy"]] += 1
                (override,) = task["overrides"]["containerOverrides"]
                self.jobs[task["taskArn"]] = override["command"][0]
                self._reach(task, "accepted")
            elif target.endswith(".DescribeTasks") and (moment := STATUS.get(task["lastStatus"])):
                self._reach(task, moment)

    def _reach(self, task: dict[str, Any], moment: Moment) -> None:
        point = self.jobs.get(task["taskArn"], ""), moment
        if act := self._plans.pop(point, None):
            try:
                act()
            except (AssertionError, OSError, RatchetError) as error:  # an error on a thread of the proxy would be lost
                self.failures.append(f"{point}: {error}")
            self.acted.append(point)
