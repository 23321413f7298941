"""The models that the API serves: which versions are wanted, their files, and swapping them under load."""
