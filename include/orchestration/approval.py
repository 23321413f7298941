"""A person's word on a challenger: asked in Airflow's UI, handed on to `ratchet promote`, and so into the ledger."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

ANSWER = "{{ (ti.xcom_pull('%s') or {}).get('%s', '') }}"


class AskForApproval(HITLOperator):
    """Wait until a person approves or rejects; returns their answer as text, as `ratchet promote` takes it.

    Airflow's ApprovalOperator skips what follows a rejection, so that nothing would be recorded.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(options=["Approve", "Reject"], **kwargs)

    @property
    def answer(self) -> dict[str, str]:
        """Templates of the arguments that hand the answer on: `response`, `by`, `at`; empty where nobody was asked."""
        return {name: ANSWER % (self.task_id, name) for name in ("response", "by", "at")}

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        given = super().execute_complete(context, event)
        user = given["responded_by_user"]
        return {
            "response": given["chosen_options"][0].lower(),
            "by": user["name"] or user["id"],
            "at": given["responded_at"].isoformat(timespec="seconds"),
        }

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        if event["error_type"] == "timeout":
            raise HITLTimeoutError(f"Nobody answered within {self.response_timeout}. Clear this task to ask again.")
        super().process_trigger_event_error(event)
