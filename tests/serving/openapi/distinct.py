"""What a JSON schema cannot say: the prediction_ids of one request differ. schemathesis loads this as its hooks."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """Whether to ask this; what is no list of reviews is refused for other reasons."""
    reviews = body.get("reviews") if isinstance(body, dict) else None
    if not isinstance(reviews, list):
        return True
    named = [str(each["prediction_id"]) for each in reviews if isinstance(each, dict) and "prediction_id" in each]
    return len(set(named)) == len(named)
