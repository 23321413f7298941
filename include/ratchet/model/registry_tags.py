"""Names of MLflow's tags and aliases for model versions: written by the registry, read by the API. Imports nothing."""

from __future__ import annotations

DIGEST = "ratchet.model_digest"
"""SHA-256 over the model's files, by which the gate's evidence names the model."""
FILE = "ratchet.sha256."
"""The beginning of a tag that ends with a file's name: SHA-256 of the file."""
PREFIX = "ratchet.prefix"
"""The prefix in the store under which the training published the model."""
WINDOW = "window"
"""The window of the training, as in `0-4`."""

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
"""The aliases; `previous` is the champion before the present one."""
