"""Progress of the weekly DAG runs, read from Airflow's own database."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from local.dag_runs import DAG_ID

RUNS = sa.text("""
    SELECT run.run_id, run.logical_date, run.state,
           extract(epoch FROM max(coalesce(task.end_date, now())) - min(task.start_date)) AS seconds,
           max(task.task_id) FILTER (WHERE task.state = 'running') AS running,
           bool_or(task.task_id = 'plan_week' AND task.state = 'skipped') AS skipped,
           string_agg(DISTINCT task.task_id, ', ') FILTER (WHERE task.state = 'failed') AS failed
    FROM dag_run AS run JOIN task_instance AS task USING (dag_id, run_id)
    WHERE run.dag_id = :dag GROUP BY run.run_id, run.logical_date, run.state ORDER BY run.logical_date
    """)


@dataclass(frozen=True)
class WeekRun:
    """One DAG run.

    `seconds` is the wall clock from the start of its first task to the end of its last. `running` is the id of a task
    that runs now; `failed` lists the ids of failed tasks, separated by commas.
    """

    week: int
    run_id: str
    state: str
    seconds: float
    running: str | None
    skipped: bool
    failed: str | None


class Progress:
    """Reads the DAG runs from Airflow's database, at the SQLAlchemy URL `database`."""

    def __init__(self, database: str) -> None:
        self.engine = sa.create_engine(database)

    def weeks(self) -> list[WeekRun]:
        """All DAG runs so far, by logical date; the first is week 0. Empty before Airflow migrated its database."""
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("task_instance"):
                return []
            rows = connection.execute(RUNS, {"dag": DAG_ID}).mappings().all()
        return [
            WeekRun(
                week=number,
                run_id=row["run_id"],
                state=row["state"],
                seconds=float(row["seconds"] or 0.0),
                running=row["running"],
                skipped=bool(row["skipped"]),
                failed=row["failed"],
            )
            for number, row in enumerate(rows)
        ]
