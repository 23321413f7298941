"""What a JSON schema cannot say: the prediction_ids of one request differ. schemathesis loads this as its hooks."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Whether to ask this; what is no list is refused for other reasons."""
    asked = (case.body.get("reviews") or case.body.get("feedback")) if isinstance(case.body, dict) else None
    if not isinstance(asked, list):
        return True
    named = [str(each["prediction_id"]) for each in asked if isinstance(each, dict) and "prediction_id" in each]
    return len(set(named)) == len(named)
