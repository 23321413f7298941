"""The app as an AWS Lambda function, for low traffic: `python -m awslambdaric ratchet.serving.aws_lambda.handler`.

It accepts events of a function URL, of an HTTP API (payload 2.0, stage $default) and of a REST API.
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
    """The function that Lambda calls, one event at a time. The first event starts the app and loads the champion.

    Raises ConfigurationError if the settings are wrong; its message is in Lambda's log.
    """
    return _adapter()(event, context)


@cache
def _adapter() -> Mangum:
    """The started app, which runs until the process ends. Mangum itself would start and stop it with every event.

    Lambda freezes the process between events, and with it the thread that polls the ledger. So a new champion is
    looked up when the next event arrives, and that event may still be answered by the champion before.
    """
    configure()
    app = create_app(ServingSettings())
    app.state.resources.champion.refresh()
    adapter = Mangum(app, lifespan="off", text_mime_types=["text/", "application/json", MEDIA_TYPE])
    app.state.lifespan = app.router.lifespan_context(app)  # referenced, because it ends when it is collected
    asyncio.get_event_loop().run_until_complete(app.state.lifespan.__aenter__())
    return adapter
