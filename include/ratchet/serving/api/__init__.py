"""Routes, schemas and errors of the HTTP API."""
