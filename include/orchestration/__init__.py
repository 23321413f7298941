"""The Airflow side of Ratchet: it plans weeks, launches each job once as an ECS task, and reports failures."""
