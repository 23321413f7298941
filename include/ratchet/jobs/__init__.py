"""The jobs, and the modules that they share. Light: Airflow imports this package, so it imports no data library."""
