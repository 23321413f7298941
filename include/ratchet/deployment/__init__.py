"""The cost of a deployment."""
