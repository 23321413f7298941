"""What the pages ask, and whom: the ledger, the store, the API, the prediction log. Nothing here writes or draws."""
