"""What was answered, and what was true: the prediction log, the feedback, and what follows. Imports no data library."""
