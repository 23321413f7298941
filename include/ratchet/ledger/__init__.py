"""The ledger: who is champion, and every decision about it. Light: Airflow imports it."""
