"""Requests a person's approval of a challenger in Airflow's UI and passes it to `ratchet promote`, for the ledger."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

APPROVAL = "{{ (ti.xcom_pull('%s') or {}).get('%s', '') }}"


class AskForApproval(HITLOperator):
    """Wait until a person approves or rejects; returns the approval as text arguments of `ratchet promote`.

    Airflow's ApprovalOperator skips the tasks after a rejection, so the rejection would not be recorded. Raises
    HITLTimeoutError without a response in time.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(options=["Approve", "Reject"], **kwargs)

    @property
    def approval(self) -> dict[str, str]:
        """Templates of the arguments `response`, `by` and `at`; they render empty if no approval was requested."""
        return {name: APPROVAL % (self.task_id, name) for name in ("response", "by", "at")}

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """The arguments `response`, `by` and `at`, once a person has responded."""
        given = super().execute_complete(context, event)
        user = given["responded_by_user"]
        return {
            "response": given["chosen_options"][0].lower(),
            "by": user["name"] or user["id"],
            "at": given["responded_at"].isoformat(timespec="seconds"),
        }

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Raise an error with the remedy."""
        if event["error_type"] == "timeout":
            raise HITLTimeoutError(
                f"No person responded within {self.response_timeout}. Clear this task to request the approval again."
            )
        super().process_trigger_event_error(event)
