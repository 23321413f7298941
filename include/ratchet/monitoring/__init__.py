"""What was answered, and what was true: the prediction log and the feedback. Imports no data library."""
