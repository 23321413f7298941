"""Read-only queries of the pages to the ledger, the store, the API and the prediction log. Nothing here draws."""
