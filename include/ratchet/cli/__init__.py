"""The `ratchet` command: `app` assembles it; each other module adds one group of commands."""
