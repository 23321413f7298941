"""Which model versions the service has loaded, and how it follows changes."""
