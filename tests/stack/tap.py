"""Stands between Airflow and ECS, and acts at a chosen moment in the life of a chosen job: there, a test kills."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Literal

from harness.fault_kinds import Answer, Kind
from harness.fault_proxy import Faults, Handler, Proxy
from ratchet.errors import RatchetError

Moment = Literal["accepted", "running", "finished"]
"""RunTask was granted, and nobody knows the ARN yet; ECS says that the job runs; the job ended, which nobody knows."""
STATUS = {"RUNNING": "running", "STOPPED": "finished"}


class TapHandler(Handler):
    server: Tap

    def _finish(self, kind: Kind | None, answer: Answer) -> None:
        if kind is None and answer.status == 200:
            self.server.saw(json.loads(answer.body).get("tasks", []), self.headers["X-Amz-Target"])
        super()._finish(kind, answer)


class Tap(Proxy):
    """A proxy without faults, and without memory of tokens: what keeps a launch single is Ratchet's own doing."""

    handler = TapHandler

    def __init__(self, upstream: str, host: str) -> None:
        super().__init__(upstream, Faults(honours_tokens=False), host)
        self.launches: Counter[str] = Counter()
        """Tasks that ECS has granted, by the launch they belong to."""
        self.jobs: dict[str, str] = {}
        self.acted: list[tuple[str, Moment]] = []
        self.failures: list[str] = []
        self._plans: dict[tuple[str, Moment], Callable[[], None]] = {}

    def latest(self, job: str) -> str:
        """The ARN of the job's last task."""
        return next(arn for arn, name in reversed(self.jobs.items()) if name == job)

    def plan(self, job: str, moment: Moment, act: Callable[[], None]) -> None:
        """Do this, once, before the answer that tells of the moment is on its way."""
        self._plans[job, moment] = act

    def saw(self, tasks: list[dict], target: str) -> None:
        for task in tasks:
            if target.endswith(".RunTask"):
                self.launches[task["startedBy"]] += 1
                (override,) = task["overrides"]["containerOverrides"]
                self.jobs[task["taskArn"]] = override["command"][0]
                self._reach(task, "accepted")
            elif target.endswith(".DescribeTasks") and (moment := STATUS.get(task["lastStatus"])):
                self._reach(task, moment)

    def _reach(self, task: dict, moment: Moment) -> None:
        place = self.jobs.get(task["taskArn"], ""), moment
        if act := self._plans.pop(place, None):
            try:
                act()
            except (AssertionError, OSError, RatchetError) as error:  # on a thread of the proxy, nobody would hear it
                self.failures.append(f"{place}: {error}")
            self.acted.append(place)
