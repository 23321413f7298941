"""The prediction log: predictions, feedback and where they are stored. Imports no data library."""
