"""Releases of the project's DAGs: uploaded to a bucket as a whole, fetched from it by Airflow as a whole.

This package is copied into Airflow's image, where no release is installed yet. It therefore imports nothing that a
release contains, neither `ratchet` nor `orchestration`.
"""
