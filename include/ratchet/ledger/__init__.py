"""The ledger: the champion, and every decision about it. Light: Airflow imports it."""
