"""Delivery of DAGs: from a project to a bucket, from the bucket to Airflow, one whole release at a time.

It is installed beside Airflow, before any release is there, and so imports nothing of what it delivers.
"""
