"""The champion answers over HTTP: `create_app(settings)`, and what it stands on. Imports nothing that trains."""
