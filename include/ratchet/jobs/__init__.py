"""The jobs, and what they stand on. Light: Airflow imports this package, so no data library may be imported here."""
