"""The page Champion of Airflow's UI: who serves, since when and why, and every decision before. For those logged in."""

from orchestration.champion_page.app import create_app

__all__ = ["create_app"]
