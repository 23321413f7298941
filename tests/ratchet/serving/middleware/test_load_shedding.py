"""Under overload some requests are refused at once, and the others are answered in time."""

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
    """An app whose requests last until they are released; it counts how many it has at once."""

    def __init__(self) -> None:
        self.go, self.now, self.most = asyncio.Event(), 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            self.now += 1
            self.most = max(self.most, self.now)
            await self.go.wait()
            self.now -= 1
        await PlainTextResponse("done")(scope, receive, send)


async def request(app: ASGIApp, method: str = "POST") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        return await client.request(method, "/v1/predict")


def overloaded(guard: Callable[[Work, Metrics], ASGIApp], requests: int) -> tuple[list[httpx.Response], Work, str]:
    """Send all requests at once to a limited app that answers none of them until the others are refused."""

    async def run() -> tuple[list[httpx.Response], Work, str]:
        work, metrics = Work(), Metrics()
        app = guard(work, metrics)
        tasks = [asyncio.create_task(request(app)) for _ in range(requests)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while sum(each.done() for each in tasks) < requests - work.most:
            await asyncio.sleep(0.01)
        assert (await request(app, "GET")).status_code == 200, "requests without a body are answered meanwhile"
        work.go.set()
        responses = await asyncio.gather(*tasks)
        assert (await request(app)).status_code == 200, "all requests are answered once the overload is over"
        return responses, work, metrics.exposition().decode()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("guard", "reasons"),
    [
        (lambda work, metrics: ConcurrencyLimit(work, 3, metrics), {"full"}),
        (lambda work, metrics: AdmissionQueue(work, 3, 0.05, metrics), {"waited", "queue"}),
    ],
    ids=["concurrency limit", "queue"],
)
def test_excess_requests_are_refused_and_counted(guard: Callable[[Work, Metrics], ASGIApp], reasons: set[str]) -> None:
    """Three of ten are processed; seven get 503 with Retry-After before any work is done for them."""
    responses, work, page = overloaded(guard, 10)
    assert Counter(response.status_code for response in responses) == {200: 3, 503: 7}
    assert work.most == 3
    refused = next(response for response in responses if response.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert "Retry-After" in problem(refused)["detail"]
    counted = dict(re.findall(r'ratchet_shed_total{reason="(\w+)"} (\d+)', page))
    assert set(counted) <= reasons
    assert sum(map(int, counted.values())) == 7


def test_a_burst_waits_and_is_not_refused() -> None:
    """Slots that become free in time go to the waiting requests in their order."""

    async def run() -> list[int]:
        work, metrics = Work(), Metrics()
        work.go.set()
        app = AdmissionQueue(work, 1, 5, metrics)
        return [response.status_code for response in await asyncio.gather(*(request(app) for _ in range(50)))]

    assert asyncio.run(run()) == [200] * 50


def test_a_standing_queue_is_kept_short() -> None:
    """If it was not empty for the time limit, its length is limited to the number of slots until it is empty."""

    async def run() -> tuple[list[int], Work, str]:
        work, metrics = Work(), Metrics()
        queue = AdmissionQueue(work, 2, 60, metrics)
        tasks = [asyncio.create_task(request(queue)) for _ in range(2)]
        while work.now < 2:
            await asyncio.sleep(0)
        queue.empty_at -= 61  # no slot was free for a minute
        tasks += [asyncio.create_task(request(queue)) for _ in range(5)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while sum(each.done() for each in tasks) < 3:
            await asyncio.sleep(0)
        assert queue.waiting == 2
        work.go.set()
        responses = await asyncio.gather(*tasks)
        responses += await asyncio.gather(*(request(queue) for _ in range(20)))
        return [response.status_code for response in responses], work, metrics.exposition().decode()

    statuses, work, page = asyncio.run(run())
    assert Counter(statuses[:7]) == {200: 4, 503: 3}
    assert statuses[7:] == [200] * 20
    assert work.most == 2
    assert 'ratchet_shed_total{reason="queue"} 3.0' in page
