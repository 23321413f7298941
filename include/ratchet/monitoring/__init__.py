"""What became of the answers: which were given, which were right, and what follows from that."""
