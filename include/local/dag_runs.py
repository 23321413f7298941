"""Run the DAG for consecutive logical weeks in one process: `python -m local.dag_runs FIRST_DATE WEEKS [CONF]`.

One process, because the first task of each process takes about 12 s to start Airflow's in-process execution API, and
every later task 0.2 s.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from ratchet.windows import WEEK

DAG_ID = "review_sentiment"


def main(first: str, weeks: int, conf: str = "{}") -> None:
    """Migrate Airflow's database, then run the weeks one after the other.

    `first` is the logical date of the first week, `conf` the DAG run's configuration as JSON. Exits with code 1 at the
    first DAG run that fails.
    """
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    dag = DagBag().get_dag(DAG_ID)
    first_date = datetime.fromisoformat(first).replace(tzinfo=UTC)
    for number in range(weeks):
        run = dag.test(logical_date=first_date + number * WEEK, run_conf=json.loads(conf))
        print(f"week {number}: {run.state}", flush=True)
        if run.state != "success":
            sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
