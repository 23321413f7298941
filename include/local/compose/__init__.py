"""The stack of docker-compose.yaml: start, stop, release, run weeks."""
