"""Local services as child processes."""
