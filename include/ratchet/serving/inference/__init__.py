"""From the reviews of a request to predictions and log rows."""
