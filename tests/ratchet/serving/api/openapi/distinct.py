"""A rule that JSON schema cannot express: the prediction_ids of one request differ. schemathesis loads it as hooks."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Whether to send a case. A body without a list is refused for other reasons."""
    items = (case.body.get("reviews") or case.body.get("feedback")) if isinstance(case.body, dict) else None
    if not isinstance(items, list):
        return True
    ids = [str(each["prediction_id"]) for each in items if isinstance(each, dict) and "prediction_id" in each]
    return len(set(ids)) == len(ids)
