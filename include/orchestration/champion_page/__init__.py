"""The page Champion of Airflow's UI: the champion, since when and why, and every decision. It requires a login."""

from orchestration.champion_page.app import create_app

__all__ = ["create_app"]
