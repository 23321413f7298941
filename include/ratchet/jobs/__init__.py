"""The jobs, and the modules that they share. Light: Airflow imports this package, so no data library may be imported here."""
