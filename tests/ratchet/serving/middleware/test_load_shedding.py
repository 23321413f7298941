"""Under overload some are refused at once, and the others are answered in time."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.serving import problem
from ratchet.serving.metrics import Metrics
from ratchet.serving.middleware.load_shedding import AdmissionQueue, ConcurrencyLimit


class Work:
    """An app whose requests last until they are let go; it knows how many it has at once."""

    def __init__(self) -> None:
        self.go, self.now, self.most = asyncio.Event(), 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            self.now += 1
            self.most = max(self.most, self.now)
            await self.go.wait()
            self.now -= 1
        await PlainTextResponse("done")(scope, receive, send)


async def ask(app: ASGIApp, method: str = "POST") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        return await client.request(method, "/v1/predict")


def overloaded(guard: Callable[[Work, Metrics], ASGIApp], requests: int) -> tuple[list[httpx.Response], Work, str]:
    """All requests at once to a guarded app that works on none of them until the refused ones are refused."""

    async def run() -> tuple[list[httpx.Response], Work, str]:
        work, metrics = Work(), Metrics()
        app = guard(work, metrics)
        asked = [asyncio.create_task(ask(app)) for _ in range(requests)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        while sum(each.done() for each in asked) < requests - work.most:
            await asyncio.sleep(0.01)
        assert (await ask(app, "GET")).status_code == 200, "what has no body, as /metrics, is answered meanwhile"
        work.go.set()
        answers = await asyncio.gather(*asked)
        assert (await ask(app)).status_code == 200, "and so is everything, once the overload is over"
        return answers, work, metrics.exposition().decode()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("guard", "reasons"),
    [
        (lambda work, metrics: ConcurrencyLimit(work, 3, metrics), {"full"}),
        (lambda work, metrics: AdmissionQueue(work, 3, 0.05, metrics), {"waited", "queue"}),
    ],
    ids=["concurrency limit", "queue"],
)
def test_what_is_too_much_is_refused_and_counted(guard: Callable[[Work, Metrics], ASGIApp], reasons: set[str]) -> None:
    """Three of ten are worked on; seven are told to come back in a second, before anything is done for them."""
    answers, work, page = overloaded(guard, 10)
    assert Counter(answer.status_code for answer in answers) == {200: 3, 503: 7}
    assert work.most == 3
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert "Retry-After" in problem(refused)["detail"]
    counted = dict(re.findall(r'ratchet_shed_total{reason="(\w+)"} (\d+)', page))
    assert set(counted) <= reasons
    assert sum(map(int, counted.values())) == 7


def test_a_burst_waits_and_nobody_is_refused() -> None:
    """Places that become free in time go to those who wait, in their order."""

    async def run() -> list[int]:
        work, metrics = Work(), Metrics()
        work.go.set()
        app = AdmissionQueue(work, 1, 5, metrics)
        return [answer.status_code for answer in await asyncio.gather(*(ask(app) for _ in range(50)))]

    assert asyncio.run(run()) == [200] * 50


def test_a_line_that_stands_is_kept_short() -> None:
    """Once it did not empty for as long as anybody may wait, it is as long as there are places; until it empties."""

    async def run() -> tuple[list[int], Work, str]:
        work, metrics = Work(), Metrics()
        queue = AdmissionQueue(work, 2, 60, metrics)
        asked = [asyncio.create_task(ask(queue)) for _ in range(2)]
        while work.now < 2:
            await asyncio.sleep(0)
        queue.empty_at -= 61  # a minute went by in which no place was free
        asked += [asyncio.create_task(ask(queue)) for _ in range(5)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        while sum(each.done() for each in asked) < 3:
            await asyncio.sleep(0)
        assert queue.waiting == 2
        work.go.set()
        answers = await asyncio.gather(*asked)
        answers += await asyncio.gather(*(ask(queue) for _ in range(20)))
        return [answer.status_code for answer in answers], work, metrics.exposition().decode()

    statuses, work, page = asyncio.run(run())
    assert Counter(statuses[:7]) == {200: 4, 503: 3}
    assert statuses[7:] == [200] * 20
    assert work.most == 2
    assert 'ratchet_shed_total{reason="queue"} 3.0' in page
