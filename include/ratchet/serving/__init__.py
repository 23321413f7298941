"""The HTTP API that serves the champion. `create_app(settings)` makes it. Imports nothing that trains."""
