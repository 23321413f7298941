"""ASGI middleware of the API."""
