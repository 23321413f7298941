"""`python -m ratchet` is the `ratchet` command."""

from ratchet.cli.app import main

main()
