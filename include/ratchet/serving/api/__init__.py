"""Routes, schemas, responses and errors of the HTTP API."""
