"""Evaluate the challenger beside the champion, decide by the gate, promote."""
