"""What the ledger's and the prediction log's tables have in common."""
