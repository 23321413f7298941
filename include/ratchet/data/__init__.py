"""Reviews from raw files to batches: records, checks, quarantine, duplicates, split."""
