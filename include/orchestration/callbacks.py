"""What happens when something has failed for good: one message that says where, why, and what to do."""

from __future__ import annotations

import logging

from airflow.sdk import Context

log = logging.getLogger(__name__)
REMEDY = "Mend the cause, then clear the task; what stands is kept."


def tell(context: Context) -> None:
    """A task has used up its tries."""
    ti, cause = context["ti"], context.get("exception")
    log.error("Ratchet: %s failed in %s on try %s: %s. %s", ti.task_id, ti.run_id, ti.try_number, cause, REMEDY)


def tell_run(context: Context) -> None:
    """A DAG run has ended without success, perhaps because it took too long or nobody answered."""
    log.error("Ratchet: the DAG run %s failed: %s. %s", context["run_id"], context.get("reason"), REMEDY)
