"""The same app as an AWS Lambda function, for low traffic: `python -m awslambdaric ratchet.serving.aws_lambda.handler`.

It answers events of a function URL, of an HTTP API (payload 2.0, stage $default) and of a REST API.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from mangum import Mangum

from ratchet.logs import configure
from ratchet.serving.api.errors import MEDIA_TYPE
from ratchet.serving.app import create_app
from ratchet.serving.settings import ServingSettings


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What Lambda calls, one event at a time. The first one of a process starts the app, and finds the champion first.

    Raises ConfigurationError where the settings are wrong; Lambda's log then says what to do.
    """
    return _started()(event, context)


@cache
def _started() -> Mangum:
    """The app, up for as long as the process lives: Mangum itself would start and stop it with every event.

    Lambda freezes a process between events, and with it the thread that follows the ledger. So a new champion is looked
    for when somebody asks again, and the answer to that may still be the old one's.
    """
    configure()
    app = create_app(ServingSettings())
    app.state.resources.loader.refresh()
    adapter = Mangum(app, lifespan="off", text_mime_types=["text/", "application/json", MEDIA_TYPE])
    app.state.up = app.router.lifespan_context(app)  # held, because it ends when nobody does
    asyncio.get_event_loop().run_until_complete(app.state.up.__aenter__())
    return adapter
