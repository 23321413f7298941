"""What happens when a task has failed for good: one message that says where, why, and what to do."""

from __future__ import annotations

import logging

from airflow.sdk import Context

log = logging.getLogger(__name__)


def tell(context: Context) -> None:
    """Log one line that an alert can be made of."""
    ti = context["ti"]
    log.error(
        "Ratchet: %s failed in %s on try %s: %s. Mend the cause, then clear the task; what stands is kept.",
        ti.task_id,
        ti.run_id,
        ti.try_number,
        context.get("exception"),
    )
