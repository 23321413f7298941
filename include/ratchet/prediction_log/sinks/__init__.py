"""The stores for rows of the prediction log: a database or files."""
