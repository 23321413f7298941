"""The compose stack from outside: start it, release DAGs into it, run weeks through Airflow's REST API, examine it."""
