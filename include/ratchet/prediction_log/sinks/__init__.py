"""Where rows of the prediction log are stored: a database or files."""
